"""Metrics of tracing beside those of interfaces.TraceStatistics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric

from nonrt_process.metric_families import Families
from nonrt_process.traces.archive import Archive
from nonrt_process.traces.bottlenecks import Bottlenecks
from nonrt_process.traces.governor import Governor
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from shared.clock import Clock

OWN: Final = {"process": "non_rt_process"}


class TraceMetrics:
    """A source of metrics (Plugin.metrics)."""

    def __init__(
        self,
        statistics: Statistics,
        spool: Spool,
        archive: Archive,
        bottlenecks: Bottlenecks,
        governor: Governor,
        clock: Clock,
    ) -> None:
        self._statistics = statistics
        self._spool = spool
        self._archive = archive
        self._bottlenecks = bottlenecks
        self._governor = governor
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        families = Families()
        self._delivery(families)
        self._cost(families)
        self._operations(families)
        return families.metrics()

    def _delivery(self, families: Families) -> None:
        families.counter(
            "mxrc_tracing_spans_exported",
            "Spans that the OTLP receiver has accepted",
            self._statistics.exported(),
            OWN,
        )
        for cause, count in self._statistics.dropped_by_cause().items():
            families.counter(
                "mxrc_tracing_spans_given_up",
                "Spans given up, by cause (ring_overwritten counts events of any kind)",
                count,
                {**OWN, "cause": cause},
            )
        families.counter(
            "mxrc_tracing_spans_closed",
            "Spans that an RT process left open for good, ended here with an error",
            self._statistics.closed(),
            OWN,
        )
        families.gauge(
            "mxrc_tracing_spool_bytes", "Size of the spool of spans", self._spool.size_bytes(), OWN
        )
        families.gauge(
            "mxrc_tracing_store_bytes",
            "Size of the store of spans",
            self._archive.store.size_bytes(),
            OWN,
        )
        families.counter(
            "mxrc_tracing_spans_not_stored",
            "Spans that the store on this machine did not take; they were exported all the same",
            self._archive.dropped,
            OWN,
        )

    def _cost(self, families: Families) -> None:
        families.gauge(
            "mxrc_tracing_sampling_factor",
            "What the governor multiplies the configured sampling rates with",
            self._governor.factor,
            OWN,
        )
        for process, share in (
            ("rt_process", self._governor.rt_share),
            ("non_rt_process", self._governor.own_share),
        ):
            families.gauge(
                "mxrc_tracing_overhead_ratio",
                "Share that spans cost: of the time in the cycle, or of a CPU",
                share,
                {"process": process},
            )

    def _operations(self, families: Families) -> None:
        for operation, figure in self._bottlenecks.figures(self._clock.monotonic_ns()).items():
            labels = {**OWN, "operation": operation}
            for name, text, value in (
                (
                    "mxrc_tracing_operation_spans",
                    "Sampled spans that ended in the last minute",
                    figure.spans,
                ),
                ("mxrc_tracing_operation_mean_seconds", "Mean time of these spans", figure.mean_s),
                (
                    "mxrc_tracing_operation_p95_seconds",
                    "95th percentile of these times, up to 19 % high",
                    figure.p95_s,
                ),
                (
                    "mxrc_tracing_operation_error_ratio",
                    "Share of these spans that failed",
                    figure.error_ratio,
                ),
            ):
                families.gauge(name, text, value, labels)
        for found in self._bottlenecks.found.values():
            families.gauge(
                "mxrc_tracing_bottleneck",
                "Share of the critical path that `step` takes of an operation over its threshold",
                found.share,
                {**OWN, "operation": found.operation, "step": found.step},
            )
