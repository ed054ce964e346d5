"""Trace ids beside the buckets of histograms: the newest sampled observation of each."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

import numpy as np
from prometheus_client.core import Metric

from nonrt_process.interfaces import Exemplar
from nonrt_process.metric_families import Families
from nonrt_process.traces.template import Bytes, Numbers
from shared.layout import Records

HTTP_EDGES_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
MAX_SERIES: Final = 512


class CycleExemplars:
    """interfaces.Exemplars. edges_us: upper bounds of the histogram of the cycle time."""

    def __init__(self, edges_us: Sequence[float]) -> None:
        self._edges = np.array(edges_us)
        self._newest: dict[int, Exemplar] = {}

    def observe(self, cycles: Records, trace_ids: Bytes, starts_ns: Numbers) -> None:
        """Cycles that got a span. trace_ids: (n, 16); starts_ns: (n,) Unix ns."""
        took_us = (cycles["end_ns"].astype(np.int64) - cycles["wake_ns"].astype(np.int64)) / 1e3
        buckets = np.searchsorted(self._edges, took_us, side="left")
        for bucket in np.unique(buckets).tolist():
            at = int(np.flatnonzero(buckets == bucket)[-1])
            self._newest[bucket] = Exemplar(
                trace_ids[at].tobytes().hex(), float(took_us[at]), int(starts_ns[at]) / 1e9
            )

    def cycle_time(self) -> dict[int, Exemplar]:
        return dict(self._newest)


class _Series:
    def __init__(self) -> None:
        self.counts = [0] * (len(HTTP_EDGES_S) + 1)
        self.sum_s = 0.0
        self.exemplars: dict[int, Exemplar] = {}


class HttpTimes:
    """mxrc_http_request_duration_seconds; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[tuple[str, str, str], _Series] = {}

    def observe(
        self,
        method: str,
        route: str | None,
        status_code: int,
        seconds: float,
        *,
        trace_id: str | None,
        realtime_s: float,
    ) -> None:
        """A request was answered. route None: none matched. trace_id None: not sampled."""
        key = (method, route or "none", f"{status_code // 100}xx")
        bucket = bisect_left(HTTP_EDGES_S, seconds)
        with self._lock:
            series = self._series.get(key)
            if series is None:
                if len(self._series) >= MAX_SERIES:  # methods are the client's to choose
                    return
                series = self._series[key] = _Series()
            series.counts[bucket] += 1
            series.sum_s += seconds
            if trace_id is not None:
                series.exemplars[bucket] = Exemplar(trace_id, seconds, realtime_s)

    def collect(self) -> Iterable[Metric]:
        """A source of metrics (Plugin.metrics)."""
        families = Families()
        with self._lock:
            rows = [
                (key, list(one.counts), one.sum_s, dict(one.exemplars))
                for key, one in self._series.items()
            ]
        for (method, route, status), counts, sum_s, exemplars in rows:
            sums = list(accumulate(counts))
            families.histogram(
                "mxrc_http_request_duration_seconds",
                "Time to answer HTTP requests of the API (health requests are left out)",
                HTTP_EDGES_S,
                sums[:-1],
                sums[-1],
                sum_s,
                {
                    "process": "non_rt_process",
                    "method": method,
                    "route": route,
                    "status": status,
                },
                exemplars,
            )
        return families.metrics()
