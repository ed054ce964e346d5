"""What the segment says about the RT process, read once into plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.core import lib
from shared.documents import read_member_document
from shared.enums import RegionId, Role
from shared.layout import METRICS_DTYPE, Records, struct_view
from shared.metrics_def import counters
from shared.segment import Segment, process_alive


@dataclass(frozen=True, slots=True)
class RtView:
    """The PRIMARY as it was at one moment; times in ns of CLOCK_MONOTONIC.

    alive: its process runs. process_start: field 22 of /proc/PID/stat. misses, cycles_run: of this
    generation. window_misses of window_slots: of the last 10,000 slots. cycle: index on the grid.
    restart_count: RT processes that became PRIMARY in this generation, less one. lease_epoch: of
    the lease; epoch: of the last cycle. document: of its main thread, {} when there is none.
    """

    member: int
    pid: int
    process_start: int
    alive: bool
    role: int
    heartbeat_ns: int
    state: int
    state_before: int
    safe_cause: int
    state_since_ns: int
    cycle: int
    cycles_run: int
    misses: int
    window_misses: int
    window_slots: int
    epoch: int
    lease_epoch: int
    cpu: int
    slots: int
    period_ns: int
    deadline_ns: int
    spin_margin_ns: int
    active_tasks: int
    restart_count: int
    recovery: int
    document: dict[str, Any]

    @property
    def miss_rate(self) -> float:
        """0..1 over the window; 0 before the first slot."""
        return self.window_misses / self.window_slots if self.window_slots else 0.0

    @property
    def degraded(self) -> list[str]:
        """What is not as configured, in words of the RT process."""
        reasons = self.document.get("degraded")
        return [str(reason) for reason in reasons] if isinstance(reasons, list) else []

    def placement(self, which: str, key: str) -> Any:
        """A value of the document's placement; which: "configured" or "in_force"."""
        placement = self.document.get("placement")
        part = placement.get(which) if isinstance(placement, dict) else None
        return part.get(key) if isinstance(part, dict) else None


def counter(segment: Segment, name: str) -> int:
    """A counter of metrics.def by its Prometheus name (the one without a label)."""
    index = next(row.index for row in counters() if row.name == name and not row.label)
    return int(segment.struct(RegionId.RT_METRICS).counter[index])


def metrics_copy(segment: Segment) -> Records:
    """Counters and histograms, copied: one record of METRICS_DTYPE, shape (1,)."""
    view = struct_view(segment, RegionId.RT_METRICS, "struct mxrc_rt_metrics")
    assert view.dtype == METRICS_DTYPE
    copied: Records = view.copy()
    return copied


def read_rt(segment: Segment) -> RtView | None:
    """None before the first PRIMARY of the generation."""
    primary = segment.primary()
    if primary is None:
        return None
    member = segment.member_struct(primary)
    status = segment.rt_status
    lease = segment.lease
    pid, start = int(member.pid), int(member.process_start)
    return RtView(
        member=primary,
        pid=pid,
        process_start=start,
        alive=process_alive(pid, start),
        role=int(member.role),
        heartbeat_ns=int(status.heartbeat_ns),
        state=int(status.state),
        state_before=int(status.state_before),
        safe_cause=int(status.safe_cause),
        state_since_ns=int(status.state_since_ns),
        cycle=int(status.cycle),
        cycles_run=int(status.cycles_run),
        misses=counter(segment, "mxrc_rt_deadline_miss_count"),
        window_misses=int(status.window_misses),
        window_slots=int(status.window_slots),
        epoch=int(status.epoch),
        lease_epoch=segment.epoch(),
        cpu=int(status.cpu),
        slots=int(status.slots),
        period_ns=int(lease.period_ns),
        deadline_ns=int(status.deadline_ns),
        spin_margin_ns=int(status.spin_margin_ns),
        active_tasks=int(status.active_tasks),
        restart_count=max(0, int(lease.start_count) - 1),
        recovery=int(status.last_recovery),
        document=read_member_document(segment, primary),
    )


def standby_count(segment: Segment) -> int:
    """Living STANDBY processes."""
    count = 0
    for index in range(lib.MXRC_MEMBERS):
        try:
            member = segment.member_struct(index)
        except KeyError:
            break
        if member.role == Role.STANDBY:
            count += process_alive(int(member.pid), int(member.process_start))
    return count
