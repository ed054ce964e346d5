"""What `mxrc up` does at SIGHUP; no child is started."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from shared.cli.up import _Signals, _Up
from shared.config import Config
from tests.unit.config.conftest import Files


@dataclass
class FakeScreen:
    said: list[str] = field(default_factory=list)
    child_stderr: int | None = None

    def __enter__(self) -> FakeScreen:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def say(self, text: str) -> None:
        self.said.append(text)

    def show(self, _sample: object) -> None:
        return None

    def wait(self, _seconds: float) -> None:
        return None


def environ(files: Files, instance: str) -> dict[str, str]:
    return {"HOME": str(files.folder), "MXRC_INSTANCE__INSTANCE": instance}


@pytest.fixture
def screen() -> FakeScreen:
    return FakeScreen()


@pytest.fixture
def up(files: Files, instance: str, screen: FakeScreen) -> _Up:
    def read() -> Config:
        return files.load(environ(files, instance))

    return _Up(read(), read, environ(files, instance), screen, _Signals(), None, standbys=1)


def policies(up: _Up) -> list[tuple[int, int, int]]:
    return [
        (one.policy.restart_delay_ms, one.policy.max_restart_count, one.policy.restart_window_sec)
        for one in up._children
    ]


def hang_up(up: _Up) -> None:
    up._signals.reload = True
    up._turn()


def test_restarts_follow_the_policy_at_sighup(files: Files, up: _Up) -> None:
    files.change(
        "failover_policy",
        lambda document: document.update(
            rt_process={"restart_delay_ms": 7, "max_restart_count": 2, "restart_window_sec": 9},
            non_rt_process={"max_restart_count": 3},
        ),
    )
    assert policies(up) == [(100, 5, 60)] * 3
    hang_up(up)
    assert policies(up) == [(7, 2, 9), (7, 2, 9), (100, 3, 60)]


@pytest.mark.parametrize(
    ("section", "content"),
    [
        ("failover_policy", {"rt_process": {"max_restart_count": -1}}),
        ("rt_schedule", {"period_us": 2000}),  # the processes refuse it, and all that is beside it
    ],
)
def test_what_the_processes_refuse_changes_no_restarts(
    files: Files, up: _Up, screen: FakeScreen, section: str, content: dict[str, object]
) -> None:
    files.change(
        "failover_policy", lambda document: document.update(non_rt_process={"restart_delay_ms": 1})
    )
    files.change(section, lambda document: document.update(content))
    hang_up(up)
    assert policies(up) == [(100, 5, 60)] * 3
    assert any("restarts go on as before" in line for line in screen.said)
