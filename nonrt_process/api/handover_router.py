"""The RT processes of the instance, and planned hand-over from the PRIMARY to a STANDBY."""

from __future__ import annotations

import threading
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field

from nonrt_process.context import Context
from nonrt_process.interfaces import Problem, RtAbsent, RtNoReply
from nonrt_process.problem_document import documented
from shared.documents import read_admin_answer, write_admin_request
from shared.enums import Role, name_of
from shared.segment import Segment, process_alive

TIMEOUT_NS: Final = 3_000_000_000
POLL_S: Final = 0.01


class NoStandby(Problem):
    """There is no STANDBY that could follow, or not that one."""

    status, title = 409, "No such STANDBY"


class HandOverRefused(Problem):
    """The PRIMARY does not hand over now."""

    status, title = 409, "Refused by the RT process"


class RtProcess(BaseModel):
    """An attached RT process."""

    pid: int
    role: str = Field(description="PRIMARY, STANDBY, or NONE while it starts or ends")
    member: int = Field(description="Its place in the segment")
    cpu: int = Field(description="CPU of its RT thread")
    heartbeat_age_ms: float = Field(description="Of its RT thread")


class HandOver(BaseModel, extra="forbid"):
    """To whom."""

    to: int | None = Field(None, strict=True, description="pid of a STANDBY; none: the first")


class HandedOver(BaseModel):
    """The hand-over has happened."""

    pid: int = Field(description="PRIMARY from now on")
    before: int = Field(description="PRIMARY before; it is STANDBY now")
    epoch: int
    cycle: int = Field(description="A cycle of the new PRIMARY")


def make_router(context: Context) -> APIRouter:
    """GET /api/v1/rt/processes and POST /api/v1/rt/failover."""
    router = APIRouter(prefix="/api/v1/rt", tags=["rt"])
    one_at_a_time = threading.Lock()

    @router.get("/processes", response_model=list[RtProcess])
    def processes() -> list[dict[str, Any]]:
        """The attached RT processes and their roles."""
        return rt_processes(_segment(context), context.clock.monotonic_ns())

    @router.post(
        "/failover",
        response_model=HandedOver,
        responses=documented(NoStandby, HandOverRefused, RtNoReply),
    )
    def failover(body: HandOver) -> dict[str, Any]:
        """Hand over to a STANDBY between two cycles; 409 when there is none."""
        with one_at_a_time:
            return hand_over(context, body.to)

    return router


def rt_processes(segment: Segment, now_ns: int) -> list[dict[str, Any]]:
    """Those that are alive, by member."""
    found = []
    for index in range(segment.max_members):
        member = segment.member_struct(index)
        pid = int(member.pid)
        if not process_alive(pid, int(member.process_start)):
            continue
        found.append(
            {
                "pid": pid,
                "role": name_of(Role, member.role),
                "member": index,
                "cpu": int(member.cpu),
                "heartbeat_age_ms": max(0, now_ns - int(member.heartbeat_ns)) / 1e6,
            }
        )
    return found


def hand_over(context: Context, to: int | None) -> dict[str, Any]:
    """Ask the PRIMARY and wait until the other one is it.

    Raises:
        RtAbsent, NoStandby, HandOverRefused, RtNoReply
    """
    segment = _segment(context)
    by_role: dict[str, list[int]] = {}
    for process in rt_processes(segment, context.clock.monotonic_ns()):
        by_role.setdefault(process["role"], []).append(process["pid"])
    standbys, primaries = by_role.get("STANDBY", []), by_role.get("PRIMARY", [])
    if not primaries:
        raise RtAbsent("no RT process is PRIMARY now: try again when one is")
    before, target = primaries[0], _choose(standbys, primaries, to)
    epoch, member = segment.epoch(), segment.primary() or 0
    number = write_admin_request(segment, {"operation": "handover", "to": target})
    context.log.warning("Hand-over from RT process %d to %d is asked for", before, target)
    deadline = context.clock.monotonic_ns() + TIMEOUT_NS
    while context.clock.monotonic_ns() < deadline:
        status = segment.rt_status
        if segment.epoch() > epoch and status.epoch == segment.epoch() and status.pid == target:
            return {
                "pid": target,
                "before": before,
                "epoch": segment.epoch(),
                "cycle": int(status.cycle),
            }
        _raise_refusal(segment, member, number)
        context.clock.sleep(POLL_S)
    raise RtNoReply(
        f"RT process {before} has not handed over to {target} within {TIMEOUT_NS / 1e9:g} s; "
        "it may still do so: see GET /api/v1/rt/processes"
    )


def _segment(context: Context) -> Segment:
    segment = context.segment
    if segment is None:
        raise RtAbsent("the RT process does not run: start mxrc-rt")
    return segment


def _choose(standbys: list[int], primaries: list[int], to: int | None) -> int:
    known = ", ".join(map(str, standbys)) or "none: start another mxrc-rt (mxrc up --standbys 1)"
    if to is None and standbys:
        return standbys[0]
    if to is not None and to in standbys:
        return to
    if to in primaries:
        raise NoStandby(f"RT process {to} is PRIMARY already; STANDBY: {known}")
    what = "there is no STANDBY" if to is None else f"{to} is the pid of no STANDBY"
    raise NoStandby(f"{what}; STANDBY: {known}")


def _raise_refusal(segment: Segment, member: int, number: int) -> None:
    answer = read_admin_answer(segment, member, number)
    if answer is not None and not answer.get("ok"):
        raise HandOverRefused(f"the PRIMARY does not hand over: {answer.get('message')}")
