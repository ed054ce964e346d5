"""Figures of logging: `interfaces.LogStatistics`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nonrt_process.interfaces import HistogramSnapshot, ProcessName
from nonrt_process.logs import ecs

LATENCY_EDGES_US: Final = tuple(
    float(factor * 10**power) for power in range(2, 7) for factor in (1, 2, 5)
)
"""100 us to 5 s."""


class Statistics:
    """Counts since the start of this process; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._levels = dict.fromkeys(ecs.LEVELS, 0)
        self._dropped: dict[ProcessName, int] = {"rt_process": 0, "non_rt_process": 0}
        self._counts = np.zeros(len(LATENCY_EDGES_US) + 1, np.int64)
        self._sum_us = 0.0

    def count_level(self, level: str) -> None:
        """A line of this process's own log was written."""
        with self._lock:
            self._levels[level] += 1

    def count_dropped(self, process: ProcessName, lines: int) -> None:
        """Lines were given up."""
        with self._lock:
            self._dropped[process] += lines

    def observe_latencies(self, nanoseconds: NDArray[np.int64]) -> None:
        """Times, shape (n,), from an event in RT to its line in the file."""
        us = np.maximum(nanoseconds, 0) / 1e3
        places = np.searchsorted(LATENCY_EDGES_US, us, side="left")
        with self._lock:
            self._counts += np.bincount(places, minlength=len(self._counts))
            self._sum_us += float(us.sum())

    # ---- LogStatistics ----

    def events_by_level(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._levels)

    def latency_us(self) -> HistogramSnapshot:
        with self._lock:
            return HistogramSnapshot(LATENCY_EDGES_US, tuple(self._counts.tolist()), self._sum_us)

    def dropped(self) -> Mapping[ProcessName, int]:
        with self._lock:
            return dict(self._dropped)
