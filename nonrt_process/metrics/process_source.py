"""Metrics of both processes (placement, health, restarts) and of this one's parts."""

from __future__ import annotations

import os
import platform
from itertools import accumulate

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    PROCESSES,
    CheckpointInfo,
    ConsumerMonitor,
    CpuPlacement,
    HealthRegistry,
    HistogramSnapshot,
    LogStatistics,
    ProcessName,
    TaskService,
    TraceStatistics,
)
from nonrt_process.metric_families import Families, Labels
from nonrt_process.process_info import CpuMeter, node_of_cpu, page_counts, sample
from nonrt_process.rt_view import RtView, read_rt
from shared.core import layout_hash
from shared.enums import RegionId
from shared.numa.maps import PageCounts
from shared.ring import RingReader
from shared.version import package_version

OWN = {"process": "non_rt_process"}


class ProcessSource:
    """What is known now; what is not known is left out."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._meter = CpuMeter()

    def collect(self, families: Families) -> None:
        segment = self._context.segment
        view = None if segment is None else read_rt(segment)
        for process in PROCESSES:
            self._placement(families, process, view)
            self._health(families, process, view)
            self._checkpoints(families, process)
            self._sampling_rates(families, process)
        families.gauge(
            "mxrc_build_info",
            "Version of this build and of what it runs on",
            1,
            {
                **OWN,
                "version": package_version(),
                "python": platform.python_version(),
                "layout_hash": f"{layout_hash():016x}",
            },
        )
        families.gauge(
            "mxrc_nonrt_heartbeat_age_seconds",
            "Time since the last heartbeat that RT sees",
            max(0, self._context.clock.monotonic_ns() - self._context.heart.last_beat_ns) / 1e9,
            OWN,
        )
        self._consumers(families)
        self._tasks(families)
        self._logs(families)
        self._traces(families)

    def _placement(self, families: Families, process: ProcessName, view: RtView | None) -> None:
        labels = {"process": process}
        config = getattr(self._context.config.current.cpu_affinity, process)
        cores, mode = config.cpu_cores, config.isolation_mode
        if process == "rt_process":
            found = sample(view.pid) if view is not None and view.alive else None
            core = view.cpu if view is not None and view.alive else None
            if view is not None:
                cores = view.placement("in_force", "cpu_cores") or cores
                mode = view.placement("in_force", "isolation_mode") or mode
        else:
            found = sample(os.getpid())
            core = None if found is None else found.core
            placed = self._context.get(CpuPlacement)
            mode = mode if placed is None else placed.isolation
        shown = cores if isinstance(cores, str) else ",".join(str(cpu) for cpu in cores)
        families.gauge(
            "mxrc_cpu_affinity_info",
            "CPUs configured, and the isolation in force where it is known",
            1,
            {**labels, "configured_cores": shown, "isolation_mode": mode},
        )
        if found is None or core is None:
            return
        families.gauge("mxrc_cpu_current_core", "CPU that it ran on last", core, labels)
        node = node_of_cpu(core)
        if node is not None:
            families.gauge("mxrc_numa_node", "NUMA node of its current CPU", node, labels)
            self._memory(families, labels, page_counts(process, view), node)
        families.counter(
            "mxrc_process_cpu_seconds", "CPU time of all its threads", found.cpu_s, labels
        )
        families.gauge(
            "mxrc_process_resident_memory_bytes",
            "Resident memory, shared pages included",
            found.memory_bytes,
            labels,
        )

    @staticmethod
    def _memory(families: Families, labels: Labels, counts: PageCounts | None, node: int) -> None:
        percent = None if counts is None else counts.local_percent([node])
        if counts is None or percent is None:
            return
        families.gauge(
            "mxrc_numa_local_memory_percent",
            "Share of its anonymous memory and segment that is on the node of its CPU",
            percent,
            {**labels, "numa_node": str(node)},
        )
        for kind in ("anonymous", "segment", "file"):
            for other, size_kb in sorted(getattr(counts, kind).items()):
                families.gauge(
                    "mxrc_numa_memory_bytes",
                    "Its memory by kind and NUMA node",
                    size_kb * 1024,
                    {**labels, "kind": kind, "numa_node": str(other)},
                )

    def _health(self, families: Families, process: ProcessName, view: RtView | None) -> None:
        labels = {"process": process}
        registry = self._context.get(HealthRegistry)
        if registry is not None:
            families.gauge(
                "mxrc_process_health_status",
                "0 stopped, 1 starting, 2 healthy, 3 degraded, 4 unhealthy, 5 stopping",
                int(registry.report(process).status),
                labels,
            )
        segment = self._context.segment
        if segment is None:
            return
        if process == "rt_process":
            restarts = 0 if view is None else view.restart_count
        else:
            restarts = max(0, int(segment.nonrt_status.start_count) - 1)
        families.counter(
            "mxrc_process_restart_count", "Restarts in this generation", restarts, labels
        )

    def _checkpoints(self, families: Families, process: ProcessName) -> None:
        info = self._context.get(CheckpointInfo)
        last = None if info is None else info.last(process)
        if last is None:
            return
        labels = {"process": process}
        families.gauge(
            "mxrc_failover_checkpoint_age_seconds",
            "Age of the newest checkpoint",
            last.age_ns / 1e9,
            labels,
        )
        families.gauge(
            "mxrc_failover_checkpoint_size_bytes",
            "Size of the newest checkpoint",
            last.size_bytes,
            labels,
        )

    def _sampling_rates(self, families: Families, process: ProcessName) -> None:
        tracing = self._context.config.current.tracing_config
        rates = (
            {"task": tracing.task_sampling_rate, "rt_cycle": tracing.rt_cycle_sampling_rate}
            if process == "rt_process"
            else {"root": tracing.sampling_rate}
        )
        for kind, rate in rates.items():
            families.gauge(
                "mxrc_tracing_sampling_rate",
                "Share of root traces that are recorded, by what begins them",
                rate,
                {"process": process, "kind": kind},
            )

    def _consumers(self, families: Families) -> None:
        monitor = self._context.get(ConsumerMonitor)
        self._occupancy(families, monitor)
        for one in () if monitor is None else monitor.consumers():
            for ring, lag, lost in (
                ("events", one.lag_events, one.lost_events),
                ("cycles", one.lag_cycles, one.lost_cycles),
            ):
                labels = {**OWN, "consumer": one.name, "ring": ring}
                families.gauge(
                    "mxrc_consumer_lag_records",
                    "Records written and not yet done with",
                    lag,
                    labels,
                )
                families.counter(
                    "mxrc_consumer_lost_records",
                    "Records overwritten before the consumer was done with them",
                    lost,
                    labels,
                )
            families.counter(
                "mxrc_consumer_failed_batches",
                "Batches given up because the consumer failed on them",
                one.failures,
                {**OWN, "consumer": one.name},
            )

    def _occupancy(self, families: Families, monitor: ConsumerMonitor | None) -> None:
        """How full the rings are for the slowest consumer."""
        segment = self._context.segment
        if segment is None or monitor is None:
            return
        figures = monitor.consumers()
        for ring, region, lag in (
            ("events", RegionId.LANE, max((one.lag_events for one in figures), default=0)),
            ("cycles", RegionId.CYCLE_RING, max((one.lag_cycles for one in figures), default=0)),
        ):
            families.gauge(
                "mxrc_ring_occupancy_ratio",
                "Backlog of the slowest consumer over the slots; above 1 it has lost records",
                lag / RingReader(segment, region).capacity,
                {**OWN, "ring": ring},
            )

    def _tasks(self, families: Families) -> None:
        tasks = self._context.get(TaskService)
        if tasks is None:
            return
        for status, count in tasks.counts_by_status().items():
            families.gauge("mxrc_tasks", "Tasks kept, by status", count, {**OWN, "status": status})
        families.gauge(
            "mxrc_task_queue_depth",
            "Accepted tasks that RT has not been sent yet",
            tasks.queue_depth(),
            OWN,
        )

    def _logs(self, families: Families) -> None:
        logs = self._context.get(LogStatistics)
        if logs is None:
            return
        for level, count in logs.events_by_level().items():
            families.counter(
                "mxrc_logging_events", "Log events written", count, {**OWN, "level": level}
            )
        _add(
            families,
            "mxrc_logging_latency_us",
            "Event written in RT to its line written to the file",
            logs.latency_us(),
            {"process": "rt_process"},
        )
        for process, count in logs.dropped().items():
            families.counter(
                "mxrc_logging_dropped_lines", "Log lines given up", count, {"process": process}
            )

    def _traces(self, families: Families) -> None:
        traces = self._context.get(TraceStatistics)
        if traces is None:
            return
        for operation, count in traces.spans_by_operation().items():
            families.counter(
                "mxrc_tracing_spans", "Spans recorded", count, {**OWN, "operation": operation}
            )
        _add(
            families,
            "mxrc_tracing_export_latency_ms",
            "Time that an export request took",
            traces.export_latency_ms(),
            OWN,
        )
        families.counter("mxrc_tracing_dropped_spans", "Spans given up", traces.dropped(), OWN)
        families.gauge(
            "mxrc_tracing_queued_spans", "Spans waiting for the exporter", traces.queued(), OWN
        )
        families.counter(
            "mxrc_tracing_export_failures",
            "Export requests that failed",
            traces.export_failures(),
            OWN,
        )


def _add(
    families: Families, name: str, help_text: str, snapshot: HistogramSnapshot, labels: Labels
) -> None:
    sums = list(accumulate(snapshot.counts))
    edges = snapshot.edges
    total = sums[-1] if sums else 0
    families.histogram(name, help_text, edges, sums[: len(edges)], total, snapshot.sum, labels)
