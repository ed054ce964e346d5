"""DEGRADED when the command queue or a ring is nearly full: what comes next is refused or lost."""

from __future__ import annotations

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    HEALTHY,
    CommandPort,
    ConsumerMonitor,
    Finding,
    HealthStatus,
)
from shared.enums import RegionId

LIMIT = 0.9
"""Share of its capacity above which a queue or ring counts as nearly full."""


def command_queue(context: Context) -> Finding:
    """Commands that RT has not taken."""
    port, segment = context.get(CommandPort), context.segment
    if port is None or segment is None:
        return HEALTHY
    capacity = int(segment.description(RegionId.COMMANDS).element_count)
    waiting = port.waiting()
    if waiting <= LIMIT * capacity:
        return HEALTHY
    return Finding(
        HealthStatus.DEGRADED,
        f"the command queue is {waiting / capacity:.0%} full ({waiting} of {capacity}): RT takes "
        "commands slower than they come, or does not run; enlarge command_slots in instance.json",
    )


def rings(context: Context) -> Finding:
    """Records that a consumer has not read and that will be overwritten soon."""
    monitor, segment = context.get(ConsumerMonitor), context.segment
    if monitor is None or segment is None:
        return HEALTHY
    cycles = int(segment.description(RegionId.CYCLE_RING).element_count)
    events = int(segment.description(RegionId.LANE).element_count)
    found = [
        f"{what} ring is {lag / capacity:.0%} full for consumer {one.name}"
        for one in monitor.consumers()
        for what, lag, capacity in (
            ("the event", one.lag_events, events),
            ("the cycle", one.lag_cycles, cycles),
        )
        if lag > LIMIT * capacity
    ]
    if not found:
        return HEALTHY
    return Finding(
        HealthStatus.DEGRADED,
        "; ".join(found) + ": records will be lost; the disk or the machine is too slow, or "
        "enlarge the rings in instance.json",
    )
