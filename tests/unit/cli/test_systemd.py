from __future__ import annotations

import json
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from shared.cli.errors import CommandError
from shared.cli.systemd import install as installer
from shared.cli.systemd import system
from shared.cli.systemd.render import HEADER, render
from shared.config import Config, load_config
from shared.resources import resource_path

PROGRAMS = Path("/opt/mxrc/bin")


class FourCpus:
    """CPUs 2 and 3 isolated, two nodes."""

    def online_cpus(self) -> frozenset[int]:
        return frozenset(range(4))

    def isolated_cpus(self) -> frozenset[int]:
        return frozenset({2, 3})

    def numa_nodes(self) -> dict[int, frozenset[int]]:
        return {0: frozenset({0, 1}), 1: frozenset({2, 3})}


def config(folder: str = "config", **environ: str) -> Config:
    environ = {"HOME": "/nonexistent", **environ}
    return load_config(resource_path(folder), environ=environ, check_machine=False, system=True)


def rendered(found: Config) -> dict[str, str]:
    files = render(found, FourCpus(), user="robot", programs=PROGRAMS)
    return {file.path.name: file.text for file in files}


def test_everything_is_filled_in() -> None:
    files = rendered(config())
    assert len(files) == 8  # mxrc.conf is in two folders
    for name, text in files.items():
        assert HEADER in text.splitlines()[0], name
        assert "@RT" not in text
        assert "@USER@" not in text
    rt = files["mxrc-rt.service"].splitlines()
    for line in (
        "Type=notify",
        "User=robot",
        "Restart=on-failure",
        "RestartSec=100ms",
        "RestartPreventExitStatus=78",
        "StartLimitIntervalSec=60",
        "StartLimitBurst=6",
        "WatchdogSec=3000ms",
        "AmbientCapabilities=CAP_SYS_NICE CAP_IPC_LOCK",
        "CPUAffinity=0-1",
        "NUMAPolicy=local",
        "SystemCallFilter=@system-service",
    ):
        assert rt.count(line) == 1, line
    for forbidden in ("RestrictRealtime", "PrivateDevices", "PrivateUsers"):
        assert not [line for line in rt if line.startswith(forbidden)]
    assert "EnvironmentFile=-" in files["mxrc-rt@.service"]


def test_policy_and_binding_are_the_configurations() -> None:
    found = config(
        "config/production",
        MXRC_FAILOVER_POLICY__RT_PROCESS__MAX_RESTART_COUNT="0",
        MXRC_FAILOVER_POLICY__RT_PROCESS__RESTART_WINDOW_SEC="7",
        MXRC_FAILOVER_POLICY__RT_PROCESS__FAILURE_THRESHOLD="9",
    )
    rt = rendered(found)["mxrc-rt.service"].splitlines()
    # A burst of 0 would be no limit at all.
    assert {"Restart=no", "StartLimitBurst=1", "StartLimitIntervalSec=7"} <= set(rt)
    assert {"WatchdogSec=9000ms", "NUMAPolicy=bind", "NUMAMask=1", "CPUAffinity=0-1"} <= set(rt)


def test_a_cpuset_of_its_own_where_the_mode_asks_for_it() -> None:
    for mode in ("CGROUPS", "HYBRID"):
        files = rendered(
            config(
                MXRC_CPU_AFFINITY__RT_PROCESS__ISOLATION_MODE=mode,
                MXRC_CPU_AFFINITY__RT_PROCESS__CPU_CORES="[2,3]",
            )
        )
        rt = files["mxrc-rt.service"].splitlines()
        assert "Slice=mxrcrt.slice" in rt
        assert [line for line in rt if line.startswith("ExecStartPre=-+/bin/sh -c 'echo isolated")]
        assert not [line for line in rt if line.startswith("CPUAffinity")]
        assert "AllowedCPUs=2-3" in files["mxrcrt.slice"].splitlines()
        assert "Slice=mxrc.slice" in files["mxrc-nonrt.service"].splitlines()
    files = rendered(config())
    assert "AllowedCPUs" not in files["mxrcrt.slice"]
    assert "Slice=mxrc.slice" in files["mxrc-rt.service"].splitlines()
    assert "ExecStartPre" not in files["mxrc-rt.service"]


NUMBA = '{"type": "numba", "path": "law.py", "symbol": "law"}'
NUMBA_TASK = '[{"name": "push", "type": "numba", "path": "law.py", "symbol": "law"}]'
C_TASK = '[{"name": "push", "type": "c", "path": "law.so", "symbol": "law"}]'


@pytest.mark.parametrize(
    ("environ", "denied"),
    [
        ({}, True),
        ({"MXRC_ROBOT__TASK_LAWS": C_TASK}, True),
        ({"MXRC_ROBOT__LAW": NUMBA}, False),
        ({"MXRC_ROBOT__TASK_LAWS": NUMBA_TASK}, False),
    ],
)
def test_laws_compiled_at_the_start_may_become_code(
    environ: dict[str, str], denied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = rendered(config(**environ))
    for unit in ("mxrc-rt.service", "mxrc-rt@.service"):
        lines = files[unit].splitlines()
        assert ("MemoryDenyWriteExecute=yes" in lines) == denied
    assert "MemoryDenyWriteExecute=yes" in files["mxrc-nonrt.service"].splitlines()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    said: list[str] = []
    installer.install(None, tmp_path, "mxrc", said.append, now=False)
    assert denied != any("without MemoryDenyWriteExecute" in line for line in said)


def test_no_cpu_left_for_python_is_no_empty_line() -> None:
    found = config(MXRC_CPU_AFFINITY__RT_PROCESS__CPU_CORES="[0,1,2,3]")
    assert "CPUAffinity" not in rendered(found)["mxrc-rt.service"]


def test_install_into_a_root_status_and_uninstall(tmp_path: Path) -> None:
    said: list[str] = []
    installer.install(None, tmp_path, "mxrc", said.append, now=False)
    instance = json.loads((tmp_path / "etc/mxrc/instance.json").read_text())
    assert instance["instance"] == "main"
    assert instance["checkpoint_dir"] == "/var/mxrc/checkpoints"
    unit = tmp_path / "etc/systemd/system/mxrc-rt.service"
    assert "--config-dir /etc/mxrc" in unit.read_text()
    assert {row["file"] for row in installer.status(tmp_path)} == {"as configured"}
    policy = tmp_path / "etc/mxrc/failover_policy.json"
    policy.write_text(
        policy.read_text().replace('"max_restart_count": 5', '"max_restart_count": 4')
    )
    states = {row["unit"]: row["file"] for row in installer.status(tmp_path)}
    assert "outdated" in states["mxrc-rt.service"]
    assert states["mxrc.slice"] == "as configured"
    installer.install(None, tmp_path, "mxrc", said.append, now=False)
    assert "StartLimitBurst=5" in unit.read_text()
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(CommandError, match="was not made by mxrc"):
        installer.install(None, tmp_path, "mxrc", said.append, now=False)
    installer.uninstall(tmp_path, said.append)
    assert unit.exists()  # it is somebody else's
    assert not (tmp_path / "etc/systemd/system/mxrc-nonrt.service").exists()
    assert policy.exists()


def test_standbys_have_a_state_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def systemctl(*arguments: str, allow_failure: bool) -> str:
        assert allow_failure
        if arguments[1] == "list-units":
            return "mxrc-rt@b.service loaded failed\nmxrc-rt@c.service loaded active\n"
        if arguments[2] == "mxrc-rt@b.service":
            return "ActiveState=failed\nSubState=failed\nResult=exit-code\nNRestarts=5\nMainPID=0\n"
        return "ActiveState=active\nSubState=running\nResult=success\nNRestarts=0\nMainPID=7\n"

    monkeypatch.setattr(system, "run", systemctl)
    monkeypatch.setattr(
        installer, "_file_row", lambda _root, name, _wanted: {"unit": name, "file": "as configured"}
    )
    rows = {row["unit"]: row for row in installer.status(Path("/"))}
    assert rows["mxrc-rt@b.service"]["state"] == "failed/failed (exit-code)"
    assert (rows["mxrc-rt@c.service"]["state"], rows["mxrc-rt@c.service"]["pid"]) == (
        "active/running",
        "7",
    )
    assert rows["mxrc-rt@c.service"]["file"] == "as configured"
    assert "state" not in rows["mxrc-rt@.service"]
    assert rows["mxrc-nonrt.service"]["restarts"] == "0"


def test_production_files_are_good_at_their_new_place(tmp_path: Path) -> None:
    installer.install(
        resource_path("config/production"), tmp_path, "mxrc", lambda _line: None, now=False
    )
    load_config(tmp_path / "etc/mxrc", environ={"HOME": "/x"}, check_machine=False)
    schema = json.loads((tmp_path / "etc/mxrc/robot.json").read_text())["$schema"]
    assert (tmp_path / "etc/mxrc" / schema).is_file()


@pytest.mark.parametrize("user", ["", "Root", "a b", "x;y", "-u"])
def test_names_of_users(tmp_path: Path, user: str) -> None:
    with pytest.raises(CommandError, match="no name of a system user"):
        installer.install(None, tmp_path, user, lambda _line: None, now=False)
    assert not list(tmp_path.iterdir())


def test_a_command_that_hangs_is_an_error_with_a_remedy() -> None:
    with pytest.raises(CommandError, match=r"sleep 60 has not ended within 0\.1 s.*again"):
        system.run("sleep", "60", timeout_s=0.1)


def test_what_is_installed_is_byte_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without, every start compiles all of it: a user that may not write there never keeps it."""
    package = tmp_path / "lib/slow_to_compile"
    (package / "inner").mkdir(parents=True)
    sources = [package / "__init__.py", package / "inner/__init__.py", package / "part.py"]
    for source in sources:
        source.write_text("ANSWER = 42\n")
    (package / "broken.py").write_text("def (\n")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(installer, "_PACKAGES", ("slow_to_compile",))
    said: list[str] = []
    installer.install(None, tmp_path / "root", "mxrc", said.append, now=False)
    for source in sources:
        assert Path(cache_from_source(str(source))).exists(), source
    assert f"not everything in {package} could be byte-compiled" in said
