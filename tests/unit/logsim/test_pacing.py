"""Records go out on time, on a fake clock."""

from __future__ import annotations

from typing import Any

import pytest

from logsim.pacing import Pacer
from logsim.runner import Tally, run
from logsim.settings import SEEDED_START_MS, Settings
from logsim.stop import Stop
from tests.unit.logsim.produce import Memory


class Clock(Stop):
    """A clock that only sleeping moves; each look at it costs a little."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.naps = 0

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.naps += 1
        self.now += seconds


def timed(**options: Any) -> tuple[Tally, float, int]:
    """Run on a fake clock: the tally, the seconds it took, and how often it slept."""
    clock, tally = Clock(), Tally()
    start = clock.now
    run(Settings(**options), Memory(), None, clock, tally, monotonic=clock.monotonic)
    return tally, clock.now - start, clock.naps


def test_the_interval_lies_between_records() -> None:
    tally, seconds, naps = timed(interval_s=2.0, count=11)
    assert tally.records == 11
    assert seconds == pytest.approx(20.0, abs=0.01)
    assert naps == 10


@pytest.mark.parametrize("rate", [50.0, 2000.0, 40_000.0])
def test_the_rate_is_in_lines_per_second(rate: float) -> None:
    tally, seconds, naps = timed(interval_s=0.0, rate=rate, duration_s=12.0)
    assert tally.lines / seconds == pytest.approx(rate, rel=0.1)
    assert naps <= 12 / 0.005 + 1


def test_of_interval_and_rate_the_slower_one_holds() -> None:
    assert timed(interval_s=1.0, rate=1e6, count=11)[1] == pytest.approx(10.0, abs=0.01)
    tally, seconds, _ = timed(interval_s=0.001, rate=10.0, duration_s=100.0)
    assert tally.lines / seconds == pytest.approx(10.0, rel=0.1)


def test_no_pace_no_sleep() -> None:
    tally, _, naps = timed(interval_s=0.0, count=500)
    assert (tally.records, naps) == (500, 0)


def test_a_duration_ends_a_run_in_the_middle_of_a_wait() -> None:
    tally, seconds, _ = timed(interval_s=3.0, duration_s=10.0)
    assert tally.records == 4
    assert seconds == pytest.approx(10.0, abs=0.01)


def test_a_simulated_duration_is_time_of_the_log() -> None:
    tally, seconds, _ = timed(interval_s=0.0, duration_s=3600.0, seed=1, start_ms=SEEDED_START_MS)
    # Five records a second on the average.
    assert tally.records == pytest.approx(18_000, rel=0.03)
    assert seconds < 60


def test_after_a_pause_of_the_machine_nothing_is_made_up() -> None:
    clock = Clock()
    pacer = Pacer(0.5, 0.0, clock.monotonic)
    pacer.sent()
    clock.now += 3600.0
    burst = 0
    while not pacer.wait_s(burst):
        pacer.sent()
        burst += 1
    assert burst == 1


def test_the_same_after_a_stall_with_a_rate() -> None:
    clock = Clock()
    pacer = Pacer(0.0, 100.0, clock.monotonic)
    clock.now += 3600.0
    lines = 0
    while not pacer.wait_s(lines):
        lines += 1
    assert lines <= 3
