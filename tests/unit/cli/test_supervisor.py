from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from shared.cli.supervisor import Child, State, program
from shared.clock import FakeClock
from shared.config.models.failover_policy import FailoverPolicy


@dataclass
class FakeProcess:
    pid: int
    status: int | None = None
    obeys: bool = True
    signals: list[int] = field(default_factory=list)

    def poll(self) -> int | None:
        return self.status

    def send_signal(self, sig: int) -> None:
        self.signals.append(sig)
        if sig == signal.SIGKILL:
            self.status = -signal.SIGKILL
        elif sig == signal.SIGTERM and self.obeys:
            self.status = 0


class Supervised:
    def __init__(self, **policy: int) -> None:
        self.clock = FakeClock()
        self.started: list[FakeProcess] = []
        self.said: list[str] = []
        self.child = Child(
            "rt_process",
            ["mxrc-rt"],
            {},
            FailoverPolicy(**policy),  # type: ignore[arg-type]
            self.clock,
            self.spawn,
            self.said.append,
        )
        self.child.start()

    def spawn(self, arguments: Sequence[str], environ: Mapping[str, str]) -> FakeProcess:
        self.started.append(FakeProcess(1000 + len(self.started)))
        return self.started[-1]

    def end(self, status: int) -> None:
        self.started[-1].status = status
        self.child.look()

    def pass_time(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds * 1_000_000)
        self.child.look()


def test_a_crash_is_followed_by_a_restart_after_the_delay() -> None:
    one = Supervised(restart_delay_ms=100)
    one.end(-signal.SIGKILL)
    assert one.child.state is State.WAITING
    one.pass_time(99)
    assert len(one.started) == 1
    one.pass_time(1)
    assert (len(one.started), one.child.state, one.child.pid) == (2, State.RUNNING, 1001)
    assert "killed by SIGKILL" in one.said[0]


@pytest.mark.parametrize(
    ("status", "state"), [(0, State.STOPPED), (78, State.REFUSED), (1, State.WAITING)]
)
def test_stop_and_refused_configuration_are_not_restarted(status: int, state: State) -> None:
    one = Supervised()
    one.end(status)
    one.pass_time(1_000_000)
    assert one.child.state is (State.RUNNING if state is State.WAITING else state)
    assert len(one.started) == (2 if state is State.WAITING else 1)


def test_too_many_restarts_within_the_window_are_given_up() -> None:
    one = Supervised(max_restart_count=3, restart_window_sec=60, restart_delay_ms=0)
    for _ in range(3):
        one.end(1)
        one.pass_time(1)
    assert one.child.restarts == 3
    one.end(1)
    assert one.child.state is State.GIVEN_UP
    assert "MANUAL_INTERVENTION" in one.said[-1]
    one.pass_time(1_000_000)
    assert len(one.started) == 4


def test_restarts_outside_of_the_window_do_not_count() -> None:
    one = Supervised(max_restart_count=2, restart_window_sec=60, restart_delay_ms=0)
    for _ in range(20):
        one.pass_time(31_000)
        one.end(1)
        one.pass_time(1)
        assert one.child.state is State.RUNNING


def test_no_restarts_allowed() -> None:
    one = Supervised(max_restart_count=0)
    one.end(1)
    assert one.child.state is State.GIVEN_UP


def test_it_is_ended_with_sigterm() -> None:
    one = Supervised()
    one.child.end(5.0)
    assert one.started[0].signals == [signal.SIGTERM]
    assert (one.child.state, one.child.status) == (State.STOPPED, 0)


def test_what_does_not_obey_is_killed_in_time() -> None:
    one = Supervised()
    one.started[0].obeys = False
    one.child.end(5.0)
    assert one.started[0].signals == [signal.SIGTERM, signal.SIGKILL]
    assert 5.0 <= sum(one.clock.sleeps) < 6.0


def test_a_second_request_hurries() -> None:
    one = Supervised()
    one.started[0].obeys = False
    one.child.end(60.0, hurry=lambda: len(one.clock.sleeps) > 3)
    assert one.started[0].signals[-1] == signal.SIGKILL
    assert sum(one.clock.sleeps) < 1.0


def test_one_that_waits_for_its_restart_is_just_not_started() -> None:
    one = Supervised()
    one.end(1)
    one.child.end(5.0)
    one.pass_time(1_000_000)
    assert (one.child.state, len(one.started)) == (State.STOPPED, 1)


def test_signals_reach_a_running_child_only() -> None:
    one = Supervised()
    one.child.signal(signal.SIGHUP)
    assert one.started[0].signals == [signal.SIGHUP]
    one.end(0)
    one.child.signal(signal.SIGHUP)
    assert one.started[0].signals == [signal.SIGHUP]


def test_programs_are_started_by_their_console_script() -> None:
    assert program("mxrc-rt", "rt_process")[0].endswith("/mxrc-rt")
    without_script = program("mxrc-no-such", "rt_process")
    assert without_script[1] == "-c"
    assert "rt_process.main" in without_script[2]
