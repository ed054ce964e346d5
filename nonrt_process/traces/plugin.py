"""Part `traces`: RT spans and HTTP spans to an OTLP receiver, and the figures of that."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    Exemplars,
    RequestContexts,
    SamplingGovernor,
    ServerTracer,
    SpanSink,
    TraceStatistics,
)
from nonrt_process.plugins import Plugin
from nonrt_process.traces import operations_router, otlp
from nonrt_process.traces.archive import Archive
from nonrt_process.traces.bottlenecks import Bottlenecks
from nonrt_process.traces.exemplars import CycleExemplars, HttpTimes
from nonrt_process.traces.exporter import Exporter
from nonrt_process.traces.governor import CpuCost, Governor, Readings
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.metrics import TraceMetrics
from nonrt_process.traces.router import make_router
from nonrt_process.traces.rt_encoder import NOTHING_CARRIED, Carried
from nonrt_process.traces.rt_spans import RtSpans
from nonrt_process.traces.server_tracer import (
    SCOPE,
    HttpTracer,
    InboxSpanSink,
    Rates,
)
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from nonrt_process.traces.transport import make_transport
from shared.config.models.tracing_config import TracingConfig
from shared.enums import RegionId
from shared.metrics_def import HistogramDef, counter_index, histograms
from shared.trace_context import parse_baggage

NAMESPACE: Final = "mxrc"
RT_SCOPE: Final = "mxrc.rt"
_TRACING_TIME: Final = counter_index("mxrc_tracing_rt_seconds")


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
        self._cost = CpuCost()
        self._archive = Archive(
            folder / f"spans-{context.instance}.sqlite3", context.clock, self._log, self._cost
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
        rates = Rates(config)

        def tracing() -> TracingConfig:
            return context.config.current.tracing_config

        governor = Governor(
            lambda: _readings(context, self._cost),
            lambda: tracing().overhead_budget,
            lambda factor: rates.set_rates(tracing(), factor),
            self._log,
        )
        context.config.subscribe(
            "tracing_config", commit=lambda _, new: rates.set_rates(new, governor.factor)
        )
        bottlenecks = Bottlenecks(lambda: tracing().bottlenecks, self._log)
        times = HttpTimes()
        tracer = HttpTracer(self._inbox, self._statistics, own_origin, rates, times)
        exemplars = CycleExemplars(_cycle_time().edges)
        self._consumer = RtSpans(
            self._spool,
            self._inbox,
            self._statistics,
            lambda pid: otlp.Origin.make(resource("rt_process", pid), RT_SCOPE, _version()),
            carried=_carried_with(context),
            cycle_rate=lambda: _cycle_rate(context, governor.factor),
            archive=self._archive,
            bottlenecks=bottlenecks,
            governor=governor,
            cost=self._cost,
            exemplars=exemplars,
        )
        super().__init__(
            "traces",
            consumers=[self._consumer],
            routers=[
                make_router(self._archive),
                operations_router.make_router(bottlenecks, context.clock),
            ],
            metrics=[
                times,
                TraceMetrics(
                    self._statistics,
                    self._spool,
                    self._archive,
                    bottlenecks,
                    governor,
                    context.clock,
                ),
            ],
        )
        context.provide(ServerTracer, tracer)
        context.provide(Exemplars, exemplars)
        context.provide(SpanSink, InboxSpanSink(self._inbox, self._statistics, own_origin))
        context.provide(TraceStatistics, self._statistics)
        context.provide(SamplingGovernor, governor)

    def _make_exporter(self, context: Context) -> Exporter | None:
        exporter = self._config.exporter
        if exporter.type == "NONE":
            self._spool.discard = True
            return None
        return Exporter(
            self._spool,
            lambda: make_transport(exporter),
            self._statistics,
            context.clock,
            self._log,
            exporter.endpoint,
            cost=self._cost,
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


def _cycle_rate(context: Context, factor: float) -> float | None:
    """Share of cycles that get a span; None: not even those that missed their deadline."""
    tracing = context.config.current.tracing_config
    return tracing.rt_cycle_sampling_rate * factor if tracing.instrumentation.rt_cycle else None


def _readings(context: Context, cost: CpuCost) -> Readings:
    """For the governor."""
    segment = context.segment
    if segment is None:
        return Readings(0, 0, cost.total_ns)
    metrics = segment.struct(RegionId.RT_METRICS)
    cycle_ns = int(metrics.histogram[_cycle_time().index].sum_ns)
    return Readings(int(metrics.counter[_TRACING_TIME]), cycle_ns, cost.total_ns)


@lru_cache(maxsize=1)
def _cycle_time() -> HistogramDef:
    return next(row for row in histograms() if row.name == "mxrc_rt_cycle_time_us")


def _version() -> str:
    try:
        return version("mxrc")
    except PackageNotFoundError:
        return "unknown"
