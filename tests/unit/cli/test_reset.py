from __future__ import annotations

import os

import pytest

from shared.cli import reset as resetting
from shared.cli.errors import CommandError, Unavailable
from shared.cli.reset import reset
from shared.core import lib
from shared.segment import Segment
from tests.helpers import free_port
from tests.unit.cli.test_client import config_for
from tests.unit.config.conftest import Files

MS = 1_000_000


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said; without systemd."""
    monkeypatch.setattr(resetting, "_start_failed_units", lambda _say: False)
    return []


def beat(nonrt: Segment, age_ms: int) -> None:
    """A Non-RT process that lives, this one."""
    status, pid = nonrt.nonrt_status, os.getpid()
    status.process_start = lib.mxrc_process_start(pid)
    status.heartbeat_ns = int(lib.mxrc_now_ns()) - age_ms * MS
    status.pid = pid


def test_a_stalled_nonrt_process_has_to_be_ended_first(
    files: Files, nonrt: Segment, instance: str, said: list[str]
) -> None:
    config = config_for(files, instance, free_port())
    beat(nonrt, age_ms=60_000)
    with pytest.raises(CommandError, match=rf"is stalled for .*\(kill -9 {os.getpid()}\)"):
        reset(config, said.append)


def test_one_that_beats_and_does_not_answer_is_only_unavailable(
    files: Files, nonrt: Segment, instance: str, said: list[str]
) -> None:
    config = config_for(files, instance, free_port())
    beat(nonrt, age_ms=-60_000)  # however long the look takes
    with pytest.raises(Unavailable):
        reset(config, said.append)


class Systemd:
    """systemctl, with a standby and the Non-RT unit that have failed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *arguments: str, allow_failure: bool = False) -> str:
        self.asked.append(arguments)
        if arguments[1] == "list-units":
            assert "--state=failed" in arguments
            return "mxrc-rt@b.service loaded failed failed mxrc real-time process, standby b\n"
        if arguments[1] == "show":
            state = "failed" if arguments[2] == "mxrc-nonrt.service" else "active"
            return f"ActiveState={state}\n"
        return ""


def test_failed_standbys_are_started_too(monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = Systemd()
    monkeypatch.setattr("shared.cli.systemd.system.run", systemd)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    said: list[str] = []
    assert resetting._start_failed_units(said.append)
    for unit in ("mxrc-nonrt.service", "mxrc-rt@b.service"):
        assert ("systemctl", "reset-failed", unit) in systemd.asked
        assert ("systemctl", "start", "--no-block", unit) in systemd.asked
        assert f"{unit}: had failed, starting it" in said
    assert len(said) == 2
