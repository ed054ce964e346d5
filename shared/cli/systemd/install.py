"""`mxrc systemd install`, `uninstall` and `status`."""

from __future__ import annotations

import compileall
import importlib
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shared.cli.errors import CommandError
from shared.cli.systemd import system
from shared.cli.systemd.render import HEADER, UNITS, SystemFile, compiles_laws, render
from shared.config import Config, load_config
from shared.config.machine import LinuxMachine
from shared.config.paths import SYSTEM_PATHS
from shared.resources import resource_path
from shared.startup import SYSTEM_CONFIG

SERVICES: Final = ("mxrc-nonrt.service", "mxrc-rt.service")
TEMPLATE: Final = "mxrc-rt@.service"
SLICES: Final = ("mxrcrt.slice", "mxrc.slice")
INSTANCE: Final = "main"
_ABSENT: Final = "not installed"
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PACKAGES: Final = ("shared", "rt_process", "nonrt_process")

Say = Callable[[str], None]


def install(config_dir: Path | None, root: Path, user: str, say: Say, *, now: bool) -> None:
    """Write the files below `root`; on the running system also make user and folders, reload.

    config_dir: where a missing /etc/mxrc is copied from. now: enable and start as well.
    """
    if not _USER.fullmatch(user):
        raise CommandError(f"{user!r} is no name of a system user")
    live = root == Path("/")
    if live and os.geteuid() != 0:
        raise CommandError("installing units needs root: sudo mxrc systemd install")
    target = root / SYSTEM_CONFIG.relative_to("/")
    if not target.exists():
        source = config_dir or resource_path("config")
        load_config(source, system=True, check_machine=live)  # refuse before anything is written
        _copy_config(source, target)
        say(f"configuration copied: {source} -> {target}")
    config = load_config(target, system=True, check_machine=live)
    programs = _programs(live)
    for file in _rendered(config, root, user, programs):
        path = root / file.path.relative_to("/")
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _refuse_foreign(path)
        path.write_text(file.text, encoding="utf-8")
        path.chmod(0o644)
        say(f"written: {path}")
    if compiles_laws(config):
        say("mxrc-rt: without MemoryDenyWriteExecute, for robot.json names a law of type numba")
    _byte_compile(say)
    if not live:
        return
    system.run("systemd-sysusers", "/etc/sysusers.d/mxrc.conf")
    _own_config(target, user)
    system.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/mxrc.conf")
    for command in (("control", "--reload"), ("trigger", "--name-match=cpu_dma_latency")):
        if shutil.which("udevadm"):  # containers have none
            system.run("udevadm", *command, allow_failure=True)
    system.run("systemctl", "daemon-reload")
    say("systemd has read the units")
    if now:
        system.run("systemctl", "enable", "--now", "mxrc.target", *SERVICES)
        say("started; `mxrc systemd status` shows it")
    else:
        say("start it with: systemctl enable --now mxrc.target mxrc-nonrt mxrc-rt")


def uninstall(root: Path, say: Say) -> None:
    """Stop and remove what `install` has written; configuration, data and user stay."""
    live = root == Path("/")
    if live and os.geteuid() != 0:
        raise CommandError("removing units needs root: sudo mxrc systemd uninstall")
    if live:
        # The arm comes to rest while Non-RT still records.
        for unit in (*system.standbys(), *reversed(SERVICES), "mxrc.target"):
            system.run("systemctl", "disable", "--now", unit, allow_failure=True)
        # An empty slice stays active, and its cgroup there, until somebody stops it.
        system.run("systemctl", "stop", *SLICES, allow_failure=True)
    removed = 0
    for path in _installed(root):
        path.unlink()
        removed += 1
        say(f"removed: {path}")
    if live:
        system.run("systemctl", "daemon-reload")
    if not removed:
        raise CommandError(f"nothing of mxrc is installed below {root}")
    say("left as they are: /etc/mxrc, logs, checkpoints, task journal, the system user")


def status(root: Path) -> list[dict[str, Any]]:
    """A row per unit: state, restarts, pid, and whether its file is as it would be rendered now.

    The standbys that systemd knows have rows of their own: the file is their template's.
    """
    target = root / SYSTEM_CONFIG.relative_to("/")
    wanted: dict[str, str] = {}
    user = _installed_user(root)
    if target.exists():
        config = load_config(target, system=True, check_machine=False)
        files = _rendered(config, root, user, _programs(live=False))
        wanted = {file.path.name: file.text for file in files}
    rows = []
    for name in UNITS:
        row = _file_row(root, name, wanted.get(name))
        rows.append(row)
        if root != Path("/") or row["file"] == _ABSENT:
            continue
        if name == TEMPLATE:
            rows += [row | {"unit": one} | _state(one) for one in system.standbys()]
        else:
            row |= _state(name)
    return rows


def _file_row(root: Path, name: str, wanted: str | None) -> dict[str, Any]:
    path = root / "etc/systemd/system" / name
    if not path.exists():
        return {"unit": name, "file": _ABSENT}
    row: dict[str, Any] = {"unit": name, "file": "as configured"}
    if path.read_text(encoding="utf-8") != wanted:
        row["file"] = "outdated: run `mxrc systemd install`"
    return row


def _state(name: str) -> dict[str, Any]:
    shown = system.show(
        name, "ActiveState", "SubState", "Result", "NRestarts", "MainPID", "StatusText"
    )
    state = "/".join(shown.get(key, "") for key in ("ActiveState", "SubState")).strip("/")
    if shown.get("Result") not in (None, "", "success"):
        state += f" ({shown['Result']})"
    return {
        "state": state,
        "restarts": shown.get("NRestarts"),
        "pid": shown.get("MainPID"),
        "status": shown.get("StatusText"),
    }


def _rendered(config: Config, root: Path, user: str, programs: Path) -> list[SystemFile]:
    files = render(config, LinuxMachine(), user=user, programs=programs)
    if root == Path("/"):
        return files
    # Below another root the configuration is read there, and will be at its place later.
    at, final = str(config.directory), str(SYSTEM_CONFIG)
    return [SystemFile(file.path, file.text.replace(at, final)) for file in files]


def _installed(root: Path) -> list[Path]:
    places = [root / "etc/systemd/system" / name for name in UNITS]
    places += [
        root / "etc/sysusers.d/mxrc.conf",
        root / "etc/tmpfiles.d/mxrc.conf",
        root / "etc/udev/rules.d/70-mxrc.rules",
    ]
    return [path for path in places if path.is_file() and _ours(path)]


def _installed_user(root: Path) -> str:
    try:
        text = (root / "etc/sysusers.d/mxrc.conf").read_text(encoding="utf-8")
    except OSError:
        return "mxrc"
    found = re.search(r"^u (\S+)", text, re.MULTILINE)
    return found[1] if found else "mxrc"


def _ours(path: Path) -> bool:
    return HEADER in path.read_text(encoding="utf-8", errors="replace")[:200]


def _refuse_foreign(path: Path) -> None:
    if path.is_symlink() or (path.exists() and not _ours(path)):
        raise CommandError(f"{path} is there and was not made by mxrc: move it away first")


def _programs(live: bool) -> Path:
    """Folder of the console scripts; others must be able to run what is in it."""
    folder = Path(sys.executable).parent
    for name in ("mxrc-rt", "mxrc-nonrt"):
        if not (folder / name).is_file():
            raise CommandError(f"{folder / name} is missing: install mxrc with pip first")
    if live:
        _refuse_closed(folder)
        _refuse_closed(Path(sys.executable).resolve().parent)
    return folder


def _refuse_closed(folder: Path) -> None:
    for one in (folder, *folder.parents):
        if not one.stat().st_mode & stat.S_IXOTH:
            raise CommandError(
                f"{one} is closed to other users: a service cannot run what is in {folder}: "
                "install mxrc with the system's Python into an open folder, such as /opt/mxrc"
            )


def _copy_config(source: Path, target: Path) -> None:
    """With the folders of a system service and a name, so that every tool finds the same ones."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("production", "schema"))
    schema = source / "schema"
    if not schema.is_dir():
        schema = source.parent / "schema"  # config/production refers to ../schema
    if schema.is_dir():
        shutil.copytree(schema, target / "schema")
    for path in target.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"../schema/', '"schema/'), encoding="utf-8")
    for path in (target / "tasks").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"../../schema/', '"../schema/'), encoding="utf-8")
    file = target / "instance.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if content.get("instance") is None:
        content["instance"] = INSTANCE
    for name in SYSTEM_PATHS.__slots__:
        if content.get(name) is None:
            content[name] = str(getattr(SYSTEM_PATHS, name))
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _own_config(target: Path, user: str) -> None:
    """Root's, readable by the service; a token is nobody else's business."""
    for path in (target, *target.rglob("*")):
        shutil.chown(path, "root", user)
    api = target / "api.json"
    if api.exists():
        api.chmod(0o640)


def _byte_compile(say: Say) -> None:
    """Without .pyc files every start compiles all of it again: seconds instead of tenths."""
    for name in _PACKAGES:
        folder = Path(str(importlib.import_module(name).__file__)).parent
        if not compileall.compile_dir(folder, quiet=2, workers=1):
            say(f"not everything in {folder} could be byte-compiled")
