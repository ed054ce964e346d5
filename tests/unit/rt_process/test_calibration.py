from __future__ import annotations

from rt_process.calibration import MIN_US, SAMPLES, calibrate, margin_from_wakeups, margin_us
from rt_process.placement import Placement
from shared.core import lib
from tests.unit.rt_process.fakes import FakeSystem


def test_the_margin_follows_the_distribution_and_not_its_outliers() -> None:
    assert margin_us([40_000] * 199 + [9_000_000], 1000) == 50
    assert margin_us([80_000] * 200, 1000) == 100


def test_the_margin_is_bounded() -> None:
    assert margin_us([5_000_000] * 200, 1000) == 500
    assert margin_us([100] * 200, 1000) == MIN_US
    assert margin_us([5_000_000] * 200, 100) == 50


def test_the_histogram_gives_the_same_margin() -> None:
    buckets = [0] * 1024
    buckets[lib.mxrc_histogram_index(40_000)] = 198
    assert margin_from_wakeups(buckets, 1000) is None
    buckets[lib.mxrc_histogram_index(9_000_000)] = 2
    assert margin_from_wakeups(buckets, 1000) == 50
    assert margin_from_wakeups(buckets, 40) == 20


def test_the_machine_is_measured_where_the_thread_will_run() -> None:
    system = FakeSystem(allowed=frozenset({0}))
    margin = calibrate(Placement("SCHED_FIFO", 80, (0,), (0,), "NONE"), 1000, system)
    assert MIN_US <= margin <= 500
    assert system.affinity[0] == (0,)
    assert system.scheduler[0] == (1, 80)
    assert SAMPLES >= 100
