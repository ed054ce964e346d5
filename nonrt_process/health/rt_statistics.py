"""Means over the last second of the RT process's cycles."""

from __future__ import annotations

import math
import threading

import numpy as np

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer
from nonrt_process.interfaces import RtFigures
from shared.clock import Clock
from shared.enums import CycleFlag
from shared.layout import CYCLE_DTYPE, Records
from shared.segment import Segment

WINDOW_NS = 1_000_000_000
STALE_NS = 2_000_000_000

_MISS = int(CycleFlag.DEADLINE_MISS)
_NOT_COUNTED = int(CycleFlag.WARMUP)
_NONE: Records = np.empty(0, CYCLE_DTYPE)


class RtStatisticsConsumer(Consumer):
    """RtStatistics: keeps the records of the last second; warm-up cycles are not in the means."""

    name = "rt-statistics"
    wants_cycles = True
    goes_on = False
    interval_s = 0.1
    max_records = 16_384

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._records = _NONE

    def on_attach(self, segment: Segment) -> None:
        with self._lock:
            self._records = _NONE

    def on_batch(self, batch: Batch) -> None:
        if not len(batch.cycles):
            return
        with self._lock:
            records = np.concatenate([self._records, batch.cycles])
            newest = int(records["end_ns"][-1])
            self._records = records[records["end_ns"].astype(np.int64) > newest - WINDOW_NS]

    def figures(self) -> RtFigures:
        with self._lock:
            records = self._records
        fresh_ns = int(records["end_ns"][-1]) if len(records) else 0
        if not len(records) or self._clock.monotonic_ns() - fresh_ns > STALE_NS:
            nan = math.nan
            return RtFigures(0, 0.0, nan, nan, nan, nan, 0, fresh_ns, (), ())
        newest = records[-1]
        axes = int(newest["axes"])
        position = tuple(float(value) for value in newest["position"][:axes])
        setpoint = tuple(float(value) for value in newest["setpoint"][:axes])
        counted = records[(records["flags"] & _NOT_COUNTED) == 0]
        span_s = (fresh_ns - int(records["wake_ns"][0])) / 1e9
        if not len(counted):
            nan = math.nan
            return RtFigures(0, span_s, nan, nan, nan, nan, 0, fresh_ns, position, setpoint)
        jitter = _microseconds(counted["wake_ns"], counted["scheduled_ns"])
        work = _microseconds(counted["end_ns"], counted["wake_ns"])
        late = np.count_nonzero(counted["flags"] & _MISS)
        return RtFigures(
            cycles=len(counted),
            window_s=span_s,
            jitter_mean_us=float(jitter.mean()),
            jitter_max_us=float(jitter.max()),
            cycle_time_mean_us=float(work.mean()),
            cycle_time_max_us=float(work.max()),
            misses=int(late) + int(counted["skipped"].sum()),
            fresh_ns=fresh_ns,
            position=position,
            setpoint=setpoint,
        )


def _microseconds(
    later: Records, earlier: Records
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Difference of two unsigned times, which may be negative."""
    difference: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = (
        later.astype(np.int64) - earlier.astype(np.int64)
    ) / 1e3
    return difference
