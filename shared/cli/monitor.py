"""What the live tables show: the state of an instance from a read-only look at its segment.

Works on a dead segment too; it never disturbs either process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.core import MxrcError, now_ns
from shared.documents import read_nonrt_document, read_primary_document
from shared.enums import CycleFlag, RegionId, Role, RtState, SafeCause, name_of
from shared.inspector.guarded import read_guarded
from shared.metrics_def import counter_index
from shared.names import Names
from shared.ring import RingReader
from shared.segment import Segment, process_alive

WINDOW_S = 1.0
MAX_RECORDS = 16384


@dataclass(frozen=True, slots=True)
class Sample:
    """What is going on in an instance.

    jitter_*, cycle_time_max_us: over the last second of cycles, NaN without any.
    safe_cause: why SAFE_MODE was entered, NONE when it was not.
    missed_lately: deadline misses, and slots skipped, in that second. misses: in this generation.
    positions, setpoints: one per axis, in the axis's unit.
    """

    instance: str
    generation: int
    state: str
    safe_cause: str
    role: str
    epoch: int
    cycle: int
    cycles_run: int
    rate_hz: float
    jitter_p50_us: float
    jitter_p99_us: float
    jitter_max_us: float
    cycle_time_max_us: float
    misses: int
    missed_lately: int
    window_miss_rate: float
    task: str
    action: str
    step: int
    active_tasks: int
    positions: tuple[float, ...]
    setpoints: tuple[float, ...]
    axes: tuple[str, ...]
    units: tuple[str, ...]
    rt_pid: int
    rt_alive: bool
    rt_cpu: int
    rt_restarts: int
    rt_age_ms: float
    nonrt_pid: int
    nonrt_alive: bool
    nonrt_restarts: int
    nonrt_age_ms: float
    degraded: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)


class Monitor:
    """Follows an instance through restarts and generations, also when one is cut short under it.

    One in a process, used by its main thread: see mxrc_bus_guard.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._segment: Segment | None = None
        self.problem = ""

    def sample(self) -> Sample | None:
        """A look; None with the reason in `problem` when there is no segment to look at."""
        segment = self._attached()
        if segment is None:
            return None
        try:
            return read_guarded(segment, lambda whole: take_sample(self._instance, whole))
        except MxrcError as error:
            self._segment = None
            self.problem = str(error)
            return None

    def close(self) -> None:
        self._segment = None

    def _attached(self) -> Segment | None:
        if self._segment is not None and self._segment.current():
            return self._segment
        self._segment = None
        try:
            self._segment = Segment.attach(self._instance)
        except MxrcError as error:
            self.problem = str(error)
        return self._segment


def take_sample(instance: str, segment: Segment) -> Sample:
    """A look at an attached segment."""
    status, lease, nonrt = segment.rt_status, segment.lease, segment.nonrt_status
    now = now_ns()
    primary = segment.primary()
    member = segment.member_struct(primary) if primary is not None else None
    document = read_primary_document(segment)
    published = read_nonrt_document(segment)
    cycles = _last_second(segment)
    jitter_us = (cycles["wake_ns"] - cycles["scheduled_ns"]).astype(np.int64) / 1e3
    busy_us = (cycles["end_ns"] - cycles["wake_ns"]).astype(np.int64) / 1e3
    missed = int(np.count_nonzero(cycles["flags"] & np.uint16(CycleFlag.DEADLINE_MISS)))
    newest = cycles[-1] if len(cycles) else None
    names = Names(segment)
    axis_count = int(segment.header.axis_count)
    window = int(status.window_slots)
    axes = _axis_documents(document, axis_count)
    return Sample(
        instance=instance,
        generation=segment.generation,
        state=name_of(RtState, status.state),
        safe_cause=name_of(SafeCause, status.safe_cause),
        role=name_of(Role, member.role) if member is not None else "NONE",
        epoch=segment.epoch(),
        cycle=int(status.cycle),
        cycles_run=int(status.cycles_run),
        rate_hz=_rate(cycles),
        jitter_p50_us=_percentile(jitter_us, 50),
        jitter_p99_us=_percentile(jitter_us, 99),
        jitter_max_us=_percentile(jitter_us, 100),
        cycle_time_max_us=_percentile(busy_us, 100),
        misses=int(
            segment.struct(RegionId.RT_METRICS).counter[
                counter_index("mxrc_rt_deadline_miss_count")
            ]
        ),
        missed_lately=missed + int(cycles["skipped"].sum()),
        window_miss_rate=int(status.window_misses) / window if window else 0.0,
        task=names.resolve(int(newest["task_name"])) if newest is not None else "",
        action=names.resolve(int(newest["action_name"])) if newest is not None else "",
        step=int(newest["step"]) if newest is not None else 0,
        active_tasks=int(status.active_tasks),
        positions=tuple(newest["position"][:axis_count].tolist()) if newest is not None else (),
        setpoints=tuple(newest["setpoint"][:axis_count].tolist()) if newest is not None else (),
        axes=tuple(axis[0] for axis in axes),
        units=tuple(axis[1] for axis in axes),
        rt_pid=int(member.pid) if member is not None else 0,
        rt_alive=member is not None and process_alive(int(member.pid), int(member.process_start)),
        rt_cpu=int(status.cpu),
        rt_restarts=max(0, int(lease.start_count) - 1),
        rt_age_ms=_age_ms(now, int(status.heartbeat_ns)),
        nonrt_pid=int(nonrt.pid),
        nonrt_alive=process_alive(int(nonrt.pid), int(nonrt.process_start)),
        nonrt_restarts=max(0, int(nonrt.start_count) - 1),
        nonrt_age_ms=_age_ms(now, int(nonrt.heartbeat_ns)),
        degraded=tuple(str(one) for one in document.get("degraded", ())),
        ports=dict(published.get("ports", {})),
    )


def _last_second(segment: Segment) -> Any:
    period_ns = max(1, int(segment.header.period_ns))
    reader = RingReader(segment, RegionId.CYCLE_RING)
    wanted = min(MAX_RECORDS, round(WINDOW_S * 1e9 / period_ns))
    cycles = reader.latest(wanted).records
    meant = (cycles["flags"] & np.uint16(CycleFlag.TOMBSTONE | CycleFlag.WARMUP)) == 0
    return cycles[meant]


def _percentile(values: Any, share: float) -> float:
    return float(np.percentile(values, share)) if len(values) else float("nan")


def _rate(cycles: Any) -> float:
    if len(cycles) < 2:
        return 0.0
    span_ns = int(cycles["wake_ns"][-1]) - int(cycles["wake_ns"][0])
    return (len(cycles) - 1) * 1e9 / span_ns if span_ns > 0 else 0.0


def _age_ms(now: int, then: int) -> float:
    return max(0, now - then) / 1e6 if then else float("nan")


def _axis_documents(document: dict[str, Any], count: int) -> list[tuple[str, str]]:
    axes = document.get("config", {}).get("axes", [])
    named = [(str(axis.get("name", "")), str(axis.get("unit", ""))) for axis in axes[:count]]
    return named + [(f"axis{index}", "") for index in range(len(named), count)]
