"""spin_margin_us "auto": as long as this machine may wake the RT thread late, and not longer.

Before the first cycle a thread with the RT thread's CPUs and policy sleeps on a grid. Where "auto"
is chosen later, the RT thread's own wake-ups under sleep waiting are what was measured. The margin
covers the 99th percentile of how late it woke, and a quarter more; the rest of the distribution is
rare enough to be left to jitter. Half a period is the most that hybrid waiting spins.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rt_process.placement import Placement
from rt_process.system import System
from shared.config import Config
from shared.core import ffi, lib
from shared.metrics_def import quantile_ns

SAMPLES: Final = 200
GRID_US: Final = 1000
MIN_US: Final = 10
MARGIN: Final = 1.25
_QUANTILE: Final = 0.99


def margin_us(late_ns: list[int], period_us: int) -> int:
    """From how late the samples were; at least MIN_US, at most half of the period."""
    ordered = sorted(late_ns)
    return _margin(ordered[min(len(ordered) - 1, int(_QUANTILE * len(ordered)))], period_us)


def margin_from_wakeups(buckets: Sequence[int], period_us: int) -> int | None:
    """From counts of the RT thread's wake-up histogram; None: too few to say.

    They have to be of sleep waiting: a thread that spins is never late.
    """
    if sum(buckets) < SAMPLES:
        return None
    return _margin(quantile_ns(buckets, _QUANTILE), period_us)


def _margin(chosen: int, period_us: int) -> int:
    return max(min(MIN_US, period_us // 2), min(round(MARGIN * chosen / 1000), period_us // 2))


def calibrate(placement: Placement, period_us: int, system: System) -> int:
    """Measure for SAMPLES wake-ups (0.2 s) where the RT thread will run; returns the margin."""
    late = ffi.new("uint32_t[]", SAMPLES)

    def sleep() -> None:
        with contextlib.suppress(OSError):
            system.set_affinity(0, placement.cpus)
        with contextlib.suppress(OSError):
            if placement.policy in ("SCHED_FIFO", "SCHED_RR"):
                system.set_scheduler(0, placement.policy_number, placement.priority)
        lib.mxrc_wakeup_measure(GRID_US * 1000, SAMPLES, late)

    thread = threading.Thread(target=sleep, name="calibration")
    thread.start()
    thread.join()
    return margin_us(list(late), period_us)


def with_margin(config: Config, placement: Placement, system: System) -> Placement:
    """The placement with what "auto" means; measured only where the configuration says auto."""
    schedule = config.rt_schedule
    if schedule.wait.mode != "hybrid" or schedule.wait.spin_margin_us != "auto":
        return placement
    return replace(placement, auto_margin_us=calibrate(placement, schedule.period_us, system))
