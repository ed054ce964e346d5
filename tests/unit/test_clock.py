from __future__ import annotations

import threading
import time

import pytest

from shared.clock import Clock, FakeClock, SystemClock


def _tick(clock: Clock) -> tuple[int, int]:
    clock.sleep(0.25)
    return clock.monotonic_ns(), clock.realtime_ns()


def test_fake_time_moves_only_when_told() -> None:
    clock = FakeClock(monotonic_ns=5, realtime_ns=7)
    assert (clock.monotonic_ns(), clock.realtime_ns()) == (5, 7)
    clock.advance(10)
    assert (clock.monotonic_ns(), clock.realtime_ns()) == (15, 17)
    assert _tick(clock) == (250_000_015, 250_000_017)
    assert clock.sleeps == [0.25]


def test_a_step_of_the_wall_clock_leaves_monotonic_time_alone() -> None:
    clock = FakeClock(monotonic_ns=5, realtime_ns=1000)
    clock.step_realtime(-400)
    assert (clock.monotonic_ns(), clock.realtime_ns()) == (5, 600)


def test_monotonic_time_never_goes_back() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)
    for any_clock in (clock, SystemClock()):
        with pytest.raises(ValueError, match="non-negative"):
            any_clock.sleep(-1)


def test_threads_may_share_a_fake_clock() -> None:
    clock = FakeClock(monotonic_ns=0)

    def count() -> None:
        for _ in range(1000):
            clock.advance(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic_ns() == 4000


def test_system_clock_is_the_kernels() -> None:
    clock = SystemClock()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    now = clock.monotonic_ns()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert abs(clock.realtime_ns() - time.time_ns()) < 60_000_000_000
    clock.sleep(0.001)
    assert clock.monotonic_ns() - now >= 1_000_000
