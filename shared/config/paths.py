"""Where the files of an instance are: the folders of instance.json, or their defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.config.models.instance import InstanceConfig


@dataclass(frozen=True, slots=True)
class Paths:
    """Absolute folders of an instance; nothing is created here."""

    run_dir: Path
    log_dir: Path
    checkpoint_dir: Path
    data_dir: Path


SYSTEM_PATHS = Paths(
    run_dir=Path("/run/mxrc"),
    log_dir=Path("/var/log/mxrc"),
    checkpoint_dir=Path("/var/mxrc/checkpoints"),
    data_dir=Path("/var/lib/mxrc"),
)


def resolve_paths(
    instance: InstanceConfig, environ: Mapping[str, str], *, system: bool = False
) -> Paths:
    """The folders in force: those configured, else the system's (a service under systemd run by
    root, or `system`), else the user's (XDG base directories).
    """
    if system or (os.getuid() == 0 and "INVOCATION_ID" in environ):
        defaults = SYSTEM_PATHS
    else:
        defaults = _user_paths(environ)

    def chosen(configured: str | None, default: Path) -> Path:
        if configured is None:
            return default
        return _home(environ) / configured[2:] if configured[0] == "~" else Path(configured)

    return Paths(
        run_dir=chosen(instance.run_dir, defaults.run_dir),
        log_dir=chosen(instance.log_dir, defaults.log_dir),
        checkpoint_dir=chosen(instance.checkpoint_dir, defaults.checkpoint_dir),
        data_dir=chosen(instance.data_dir, defaults.data_dir),
    )


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME", "")
    return Path(home) if home.startswith("/") else Path("/")


def _user_paths(environ: Mapping[str, str]) -> Paths:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        run_dir = Path(runtime) / "mxrc"
    else:
        # Created with mode 0700 and checked for its owner by whoever creates it.
        run_dir = Path(f"/tmp/mxrc-{os.getuid()}")  # noqa: S108
    state = _home(environ) / ".local/state/mxrc"
    return Paths(run_dir, state / "log", state / "checkpoints", state / "data")
