"""The bodies of /health and /health/details."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from typing import Any

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    CheckpointInfo,
    CpuPlacement,
    HealthReport,
    MemoryPlacement,
    ProcessName,
    RtStatistics,
)
from nonrt_process.process_info import (
    CpuMeter,
    ProcessSample,
    node_of_cpu,
    page_counts,
    rfc3339,
    sample,
)
from nonrt_process.rt_view import RtView, read_rt
from shared.entries import entry_times
from shared.enums import RegionId
from shared.metrics_def import histograms

_MIB = 1 << 20


def finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


class HealthDocuments:
    """Makes them from the segment and /proc."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._meter = CpuMeter()

    def sample(self, process: ProcessName, view: RtView | None) -> ProcessSample | None:
        """None when the process is not there."""
        if process == "non_rt_process":
            return sample(os.getpid())
        return sample(view.pid) if view is not None and view.alive else None

    def view(self) -> RtView | None:
        segment = self._context.segment
        return None if segment is None else read_rt(segment)

    def health(self, process: ProcessName, report: HealthReport) -> dict[str, Any]:
        """Fields of GET /health, response_time_ms left to the caller."""
        view = self.view()
        found = self.sample(process, view)
        rt = process == "rt_process"
        return {
            "status": report.status.name,
            "process_name": process,
            "pid": found.pid if found is not None else None,
            "last_heartbeat": self._last_heartbeat(process, view),
            "cpu_usage_percent": None if found is None else round(self._meter.percent(found), 2),
            "memory_usage_mb": None if found is None else round(found.memory_bytes / _MIB, 2),
            "deadline_miss_count": view.misses if rt and view is not None else 0,
            "restart_count": self._restart_count(process, view),
            "error_message": report.error_message,
        }

    def details(self, process: ProcessName) -> dict[str, Any]:
        """Body of GET /health/details."""
        view = self.view()
        found = self.sample(process, view)
        return {
            "process_info": self._process_info(process, found),
            "cpu_affinity": self._cpu_affinity(process, found, view),
            "numa_binding": self._numa_binding(process, found, view),
            "rt_performance": self._rt_performance(view) if process == "rt_process" else None,
            "entries": self._entries() if process == "rt_process" else None,
            "failover": self._failover(process, view),
        }

    def _last_heartbeat(self, process: ProcessName, view: RtView | None) -> str | None:
        if process == "rt_process":
            beat_ns = 0 if view is None else view.heartbeat_ns
        else:
            beat_ns = self._context.heart.last_beat_ns
        return self.moment(beat_ns) if beat_ns else None

    def moment(self, monotonic_ns: int) -> str:
        """RFC 3339 of a moment of CLOCK_MONOTONIC."""
        clock = self._context.clock
        return rfc3339(clock.realtime_ns() - (clock.monotonic_ns() - monotonic_ns))

    def _restart_count(self, process: ProcessName, view: RtView | None) -> int:
        if process == "rt_process":
            return 0 if view is None else view.restart_count
        segment = self._context.segment
        return 0 if segment is None else max(0, int(segment.nonrt_status.start_count) - 1)

    def _process_info(self, process: ProcessName, found: ProcessSample | None) -> dict[str, Any]:
        uptime_s = None if found is None else round(found.uptime_s, 3)
        start = (
            None
            if uptime_s is None
            else rfc3339(self._context.clock.realtime_ns() - uptime_s * 1e9)
        )
        return {
            "name": process,
            "pid": None if found is None else found.pid,
            "start_time": start,
            "uptime_seconds": uptime_s,
        }

    def _cpu_affinity(
        self, process: ProcessName, found: ProcessSample | None, view: RtView | None
    ) -> dict[str, Any]:
        config = getattr(self._context.config.current.cpu_affinity, process)
        cores, mode = config.cpu_cores, config.isolation_mode
        core = None if found is None else found.core
        if process == "rt_process" and view is not None:
            core = view.cpu if view.alive else None
            cores = view.placement("in_force", "cpu_cores") or cores
            mode = view.placement("in_force", "isolation_mode") or mode
        elif process == "non_rt_process":
            placed = self._context.get(CpuPlacement)
            mode = mode if placed is None else placed.isolation
            cores = sorted(os.sched_getaffinity(0)) if cores == "auto" else cores
        return {
            "configured_cores": cores if cores == "auto" else list(cores),
            "current_core": core,
            "isolation_mode": mode,
        }

    def _numa_binding(
        self, process: ProcessName, found: ProcessSample | None, view: RtView | None
    ) -> dict[str, Any]:
        core = self._cpu_affinity(process, found, view)["current_core"]
        node = None if core is None else node_of_cpu(core)
        policy = getattr(self._context.config.current.numa_binding, process).memory_policy
        if process == "rt_process" and view is not None and view.alive:
            policy = view.placement("in_force", "memory_policy") or policy
        elif process == "non_rt_process":
            placed = self._context.get(MemoryPlacement)
            policy = policy if placed is None else placed.in_force
        return {
            "numa_node": node,
            "memory_policy": policy,
            "local_memory_percent": local_percent(process, view, node),
        }

    def _rt_performance(self, view: RtView | None) -> dict[str, Any]:
        segment = self._context.segment
        statistics = self._context.get(RtStatistics)
        jitter = statistics.figures().jitter_mean_us if statistics is not None else math.nan
        mean = maximum = None
        if segment is not None:
            index = next(h.index for h in histograms() if h.name == "mxrc_rt_cycle_time_us")
            times = segment.struct(RegionId.RT_METRICS).histogram[index]
            if times.count:
                mean, maximum = times.sum_ns / times.count / 1e3, times.max_ns / 1e3
        return {
            "cycle_count": 0 if view is None else view.cycles_run,
            "deadline_miss_count": 0 if view is None else view.misses,
            "deadline_miss_rate": 0.0 if view is None else view.miss_rate,
            "avg_cycle_time_us": None if mean is None else round(mean, 3),
            "max_cycle_time_us": None if maximum is None else round(maximum, 3),
            "jitter_us": None if finite(jitter) is None else round(jitter, 3),
            "spin_margin_us": view.spin_margin_ns / 1e3
            if view is not None and view.spin_margin_ns
            else None,
        }

    def _entries(self) -> list[dict[str, Any]]:
        segment = self._context.segment
        return [] if segment is None else [asdict(one) for one in entry_times(segment)]

    def _failover(self, process: ProcessName, view: RtView | None) -> dict[str, Any]:
        info = self._context.get(CheckpointInfo)
        last = None if info is None else info.last(process)
        return {
            "restart_count": self._restart_count(process, view),
            "last_checkpoint": None if last is None else rfc3339(last.realtime_ns),
            "checkpoint_age_seconds": None if last is None else round(last.age_ns / 1e9, 3),
        }


def local_percent(process: ProcessName, view: RtView | None, node: int | None) -> float | None:
    """Share of pages on `node`, as the process itself measured; None when it did not."""
    counts = page_counts(process, view)
    if counts is None or node is None:
        return None
    percent = counts.local_percent([node])
    return None if percent is None else round(percent, 2)
