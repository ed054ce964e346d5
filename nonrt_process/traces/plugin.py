"""Part `traces`: RT spans and HTTP spans to an OTLP receiver, and the figures of that."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from nonrt_process.context import Context
from nonrt_process.interfaces import RequestContexts, ServerTracer, SpanSink, TraceStatistics
from nonrt_process.otlp_http import HttpTransport
from nonrt_process.plugins import Plugin
from nonrt_process.traces import otlp
from nonrt_process.traces.archive import Archive
from nonrt_process.traces.exporter import Exporter
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.router import make_router
from nonrt_process.traces.rt_encoder import NOTHING_CARRIED, Carried
from nonrt_process.traces.rt_spans import RtSpans
from nonrt_process.traces.server_tracer import (
    SCOPE,
    InboxSpanSink,
    RateSampler,
    SdkServerTracer,
)
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from shared.trace_context import parse_baggage

NAMESPACE: Final = "mxrc"
RT_SCOPE: Final = "mxrc.rt"


def create(context: Context) -> Plugin:
    """Make the part."""
    return TracesPlugin(context)


class TracesPlugin(Plugin):
    """See the module."""

    def __init__(self, context: Context) -> None:
        config = context.config.current.tracing_config
        self._log = context.log.getChild("traces")
        self._config = config
        self._inbox = Inbox()
        folder = context.config.current.paths.data_dir
        self._spool = Spool(folder / f"spans-{context.instance}", self._log)
        self._statistics = Statistics(self._inbox, self._spool)
        self._archive = Archive(
            folder / f"spans-{context.instance}.sqlite3", context.clock, self._log
        )
        self._exporter = self._make_exporter(context)
        host = socket.gethostname()

        def resource(process: str, pid: int) -> dict[str, otlp.AttributeValue]:
            values: dict[str, otlp.AttributeValue] = {
                "service.name": config.service_name,
                "service.namespace": NAMESPACE,
                "service.instance.id": f"{context.instance}/{process}@{host}",
                "service.version": _version(),
                "host.name": host,
            }
            if pid:
                values["process.pid"] = pid
            return values

        own = resource("non_rt_process", os.getpid())
        own_origin = otlp.Origin.make(own, SCOPE, _version())
        sampler = RateSampler(config)
        context.config.subscribe("tracing_config", commit=lambda _, new: sampler.set_rates(new))
        tracer = SdkServerTracer(self._inbox, self._statistics, own_origin, sampler, own)
        self._consumer = RtSpans(
            self._spool,
            self._inbox,
            self._statistics,
            lambda pid: otlp.Origin.make(resource("rt_process", pid), RT_SCOPE, _version()),
            carried=_carried_with(context),
            cycle_rate=lambda: _cycle_rate(context),
            archive=self._archive,
        )
        super().__init__(
            "traces",
            consumers=[self._consumer],
            routers=[make_router(self._archive)],
            metrics=[_Metrics(self._statistics, self._spool, self._archive)],
        )
        context.provide(ServerTracer, tracer)
        context.provide(SpanSink, InboxSpanSink(self._inbox, self._statistics, own_origin))
        context.provide(TraceStatistics, self._statistics)

    def _make_exporter(self, context: Context) -> Exporter | None:
        exporter = self._config.exporter
        if exporter.type == "NONE":
            self._spool.discard = True
            return None
        if exporter.protocol != "http":
            self._log.error(
                "Spans are not exported: this version speaks OTLP over HTTP only; set exporter."
                "protocol to http in tracing_config.json (usually port 4318)"
            )
            self._spool.discard = True
            return None
        return Exporter(
            self._spool,
            lambda: HttpTransport(exporter.endpoint, "/v1/traces"),
            self._statistics,
            context.clock,
            self._log,
            exporter.endpoint,
        )

    def start(self) -> None:
        """Take up what an earlier process left, begin to deliver."""
        self._spool.open()
        self._archive.open()
        if self._exporter is not None:
            self._exporter.start()

    def stop(self) -> None:
        """Deliver what is left if the receiver answers; the rest stays in the spool."""
        self._consumer.flush()
        if self._exporter is not None:
            self._exporter.stop()
        self._spool.close()
        self._archive.store.close()


class _Metrics:
    """What interfaces.TraceStatistics does not tell."""

    def __init__(self, statistics: Statistics, spool: Spool, archive: Archive) -> None:
        self._statistics = statistics
        self._archive = archive
        self._spool = spool

    def collect(self) -> Iterable[Metric]:
        exported = CounterMetricFamily(
            "mxrc_tracing_spans_exported",
            "Spans that the OTLP receiver has accepted",
            labels=["process"],
        )
        exported.add_metric(["non_rt_process"], self._statistics.exported())
        yield exported
        given_up = CounterMetricFamily(
            "mxrc_tracing_spans_given_up",
            "Spans given up, by cause (ring_overwritten counts events of any kind)",
            labels=["process", "cause"],
        )
        for cause, count in self._statistics.dropped_by_cause().items():
            given_up.add_metric(["non_rt_process", cause], count)
        yield given_up
        size = GaugeMetricFamily(
            "mxrc_tracing_spool_bytes", "Size of the spool of spans", labels=["process"]
        )
        size.add_metric(["non_rt_process"], self._spool.size_bytes())
        yield size
        kept = GaugeMetricFamily(
            "mxrc_tracing_store_bytes", "Size of the store of spans", labels=["process"]
        )
        kept.add_metric(["non_rt_process"], self._archive.store.size_bytes())
        yield kept
        not_kept = CounterMetricFamily(
            "mxrc_tracing_spans_not_stored",
            "Spans that the store on this machine did not take; they were exported all the same",
            labels=["process"],
        )
        not_kept.add_metric(["non_rt_process"], self._archive.dropped)
        yield not_kept


def _carried_with(context: Context) -> Callable[[int], Carried]:
    """By execution id; the last ones are remembered."""

    @lru_cache(maxsize=4096)
    def carried(execution_id: int) -> Carried:
        contexts = context.get(RequestContexts)
        if contexts is None:
            return NOTHING_CARRIED
        tracestate, baggage = contexts.carried(execution_id)
        if not (tracestate or baggage):
            return NOTHING_CARRIED
        members, _ = parse_baggage([baggage])
        return Carried(tracestate, {key: member.value for key, member in members.items()})

    return carried


def _cycle_rate(context: Context) -> float | None:
    """Share of cycles that get a span; None: not even those that missed their deadline."""
    tracing = context.config.current.tracing_config
    return tracing.rt_cycle_sampling_rate if tracing.instrumentation.rt_cycle else None


def _version() -> str:
    try:
        return version("mxrc")
    except PackageNotFoundError:
        return "unknown"
