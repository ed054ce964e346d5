"""What the manager sees and does, on the segment and the processes."""

from __future__ import annotations

from typing import Any

from nonrt_process.context import Context
from nonrt_process.failover.manager import Look
from nonrt_process.interfaces import CommandPort, RtAbsent
from nonrt_process.rt_view import read_rt
from shared.documents import write_admin_request
from shared.enums import RegionId, Role, RtEvent
from shared.failure_watch import Target
from shared.process_kill import kill_process
from shared.ring import RingReader
from shared.segment import Segment, process_alive


class RtHands:
    """Hands of the manager."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def look(self) -> Look:
        segment, problem = self._context.segment, self._context.heart.problem
        if segment is None:
            in_order = problem is None or problem.kind == "stopped"
            return Look(None, lost="" if in_order or problem is None else problem.message)
        view = read_rt(segment)
        if view is None:
            return Look(None)
        return Look(
            view,
            cycles_head=RingReader(segment, RegionId.CYCLE_RING).head,
            main_beat_ns=int(segment.member_struct(view.member).main_heartbeat_ns),
            standbys=_standbys(segment),
            generation=segment.generation,
        )

    def ask(self, request: dict[str, Any]) -> None:
        segment = self._context.segment
        if segment is None:
            raise RtAbsent("there is no segment to ask through")
        write_admin_request(segment, request)

    def kill(self, target: Target) -> bool:
        return kill_process(target.pid, target.process_start)

    def alive(self, target: Target) -> bool:
        return process_alive(target.pid, target.process_start)

    def make_safe(self) -> None:
        self._context.require(CommandPort).call_event(RtEvent.SAFE_MODE_ENTER, timeout_s=1.0)

    def leave_safe(self) -> None:
        self._context.require(CommandPort).call_event(RtEvent.SAFE_MODE_EXIT, timeout_s=1.0)


def _standbys(segment: Segment) -> tuple[int, ...]:
    members = [segment.member_struct(index) for index in range(segment.max_members)]
    return tuple(
        int(member.pid)
        for member in members
        if member.role == Role.STANDBY and process_alive(int(member.pid), int(member.process_start))
    )
