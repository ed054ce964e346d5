"""Means over the last second of the RT process's cycles."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer
from nonrt_process.interfaces import RtFigures
from shared.clock import Clock
from shared.enums import CycleFlag
from shared.layout import Records
from shared.segment import Segment

WINDOW_NS = 1_000_000_000
STALE_NS = 2_000_000_000

_MISS = int(CycleFlag.DEADLINE_MISS)
_WARMUP = int(CycleFlag.WARMUP)

Floats = NDArray[np.float64]


class _Slice(NamedTuple):
    """The columns of one batch that the means need: small, so that a second of them is cheap."""

    end_ns: NDArray[np.int64]
    wake_ns: NDArray[np.int64]
    jitter_us: Floats
    work_us: Floats
    counted: NDArray[np.bool_]
    misses: NDArray[np.int64]


class RtStatisticsConsumer(Consumer):
    """RtStatistics: keeps the last second; warm-up cycles are not in the means."""

    name = "rt-statistics"
    wants_cycles = True
    goes_on = False
    interval_s = 0.1
    max_records = 16_384

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._slices: deque[_Slice] = deque()
        self._newest: Records | None = None

    def on_attach(self, segment: Segment) -> None:
        with self._lock:
            self._slices.clear()
            self._newest = None

    def on_batch(self, batch: Batch) -> None:
        if not len(batch.cycles):
            return
        found = _columns(batch.cycles)
        newest = batch.cycles[-1:].copy()
        with self._lock:
            self._slices.append(found)
            self._newest = newest
            while self._slices[0].end_ns[-1] <= found.end_ns[-1] - WINDOW_NS:
                self._slices.popleft()

    def figures(self) -> RtFigures:
        with self._lock:
            slices, newest = list(self._slices), self._newest
        fresh_ns = int(slices[-1].end_ns[-1]) if slices else 0
        nan = math.nan
        if newest is None or self._clock.monotonic_ns() - fresh_ns > STALE_NS:
            return RtFigures(0, 0.0, nan, nan, nan, nan, 0, fresh_ns, (), ())
        axes = int(newest["axes"][0])
        position = tuple(float(value) for value in newest["position"][0][:axes])
        setpoint = tuple(float(value) for value in newest["setpoint"][0][:axes])
        whole = _Slice(*(np.concatenate(columns) for columns in zip(*slices, strict=True)))
        inside = whole.end_ns > fresh_ns - WINDOW_NS
        span_s = (fresh_ns - int(whole.wake_ns[inside][0])) / 1e9
        chosen = inside & whole.counted
        if not chosen.any():
            return RtFigures(0, span_s, nan, nan, nan, nan, 0, fresh_ns, position, setpoint)
        jitter, work = whole.jitter_us[chosen], whole.work_us[chosen]
        return RtFigures(
            cycles=len(jitter),
            window_s=span_s,
            jitter_mean_us=float(jitter.mean()),
            jitter_max_us=float(jitter.max()),
            cycle_time_mean_us=float(work.mean()),
            cycle_time_max_us=float(work.max()),
            misses=int(whole.misses[chosen].sum()),
            fresh_ns=fresh_ns,
            position=position,
            setpoint=setpoint,
        )


def _columns(cycles: Records) -> _Slice:
    end = cycles["end_ns"].astype(np.int64)
    wake = cycles["wake_ns"].astype(np.int64)
    late = (cycles["flags"] & _MISS) != 0
    return _Slice(
        end_ns=end,
        wake_ns=wake,
        jitter_us=(wake - cycles["scheduled_ns"].astype(np.int64)) / 1e3,
        work_us=(end - wake) / 1e3,
        counted=(cycles["flags"] & _WARMUP) == 0,
        misses=late.astype(np.int64) + cycles["skipped"].astype(np.int64),
    )
