"""State of the RT process, and the events that change it."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    CommandPort,
    QueueFull,
    Refused,
    RtAbsent,
    RtNoReply,
    RtStatistics,
    TaskService,
    current_trace,
)
from nonrt_process.problem_document import documented
from nonrt_process.rt_view import read_rt
from shared.enums import Role, RtEvent, RtState, SafeCause, name_of

RtEventName = Literal["start", "pause", "resume", "stop", "reset", "safe-mode", "safe-mode-exit"]

_EVENTS: dict[str, RtEvent] = {
    "start": RtEvent.START,
    "pause": RtEvent.PAUSE,
    "resume": RtEvent.RESUME,
    "stop": RtEvent.STOP,
    "reset": RtEvent.RESET,
    "safe-mode": RtEvent.SAFE_MODE_ENTER,
    "safe-mode-exit": RtEvent.SAFE_MODE_EXIT,
}


class EventAnswer(BaseModel):
    """RT carried the event out."""

    event: str
    result: str
    state: str = Field(description="RT state after it")
    cycle: int = Field(description="Cycle in which it was carried out")


class AxisState(BaseModel):
    """One axis in the newest cycle."""

    name: str
    unit: str
    position: float
    setpoint: float


class RtStatus(BaseModel):
    """The RT process now; times of the last second."""

    state: str
    state_since_seconds: float
    safe_cause: str | None = Field(description="Why SAFE_MODE is in force")
    role: str
    pid: int
    alive: bool
    epoch: int
    cycle: int = Field(description="Index on the time grid")
    cycle_count: int = Field(description="Cycles executed in this generation")
    period_us: float
    heartbeat_age_ms: float
    deadline_miss_count: int
    deadline_miss_rate: float
    jitter_mean_us: float | None
    jitter_max_us: float | None
    cycle_time_mean_us: float | None
    cycle_time_max_us: float | None
    active_tasks: int
    restart_count: int
    axes: list[AxisState]
    tasks: dict[str, int] = Field(description="Tasks kept, by status")


def make_router(context: Context) -> APIRouter:
    """GET /api/v1/rt and POST /api/v1/rt/{event}."""
    router = APIRouter(prefix="/api/v1", tags=["rt"])

    @router.get("/rt", response_model=RtStatus)
    def rt_status() -> dict[str, Any]:
        """State, timing, axes and tasks of the RT process."""
        return read_status(context)

    @router.post(
        "/rt/{event}",
        response_model=EventAnswer,
        responses=documented(Refused, QueueFull, RtNoReply),
    )
    def rt_event(event: RtEventName, request: Request) -> dict[str, Any]:
        """Send a state event and wait for RT's answer; 409 when the state does not allow it."""
        number = _EVENTS[event]
        reply = context.require(CommandPort).call_event(number, current_trace(request))
        context.log.warning("RT event %s over HTTP: carried out in cycle %d", event, reply.cycle)
        return {
            "event": number.name,
            "result": reply.result.name,
            "state": reply.state.name,
            "cycle": reply.cycle,
        }

    return router


def read_status(context: Context) -> dict[str, Any]:
    """Body of GET /api/v1/rt; raises RtAbsent."""
    segment = context.segment
    view = None if segment is None else read_rt(segment)
    if view is None:
        problem = context.heart.problem
        raise RtAbsent(problem.message if problem else "no RT process has become PRIMARY yet")
    now = context.clock.monotonic_ns()
    figures = context.require(RtStatistics).figures()
    tasks = context.get(TaskService)
    known = figures.cycles > 0
    configured = context.config.current.robot.axes
    axes = [
        {
            "name": configured[index].name if index < len(configured) else str(index),
            "unit": configured[index].unit if index < len(configured) else "",
            "position": position,
            "setpoint": figures.setpoint[index],
        }
        for index, position in enumerate(figures.position)
    ]
    in_safe_mode = view.state == RtState.SAFE_MODE
    return {
        "state": name_of(RtState, view.state),
        "state_since_seconds": max(0, now - view.state_since_ns) / 1e9,
        "safe_cause": name_of(SafeCause, view.safe_cause) if in_safe_mode else None,
        "role": name_of(Role, view.role),
        "pid": view.pid,
        "alive": view.alive,
        "epoch": view.lease_epoch,
        "cycle": view.cycle,
        "cycle_count": view.cycles_run,
        "period_us": view.period_ns / 1e3,
        "heartbeat_age_ms": max(0, now - view.heartbeat_ns) / 1e6,
        "deadline_miss_count": view.misses,
        "deadline_miss_rate": view.miss_rate,
        "jitter_mean_us": figures.jitter_mean_us if known else None,
        "jitter_max_us": figures.jitter_max_us if known else None,
        "cycle_time_mean_us": figures.cycle_time_mean_us if known else None,
        "cycle_time_max_us": figures.cycle_time_max_us if known else None,
        "active_tasks": view.active_tasks,
        "restart_count": view.restart_count,
        "axes": axes,
        "tasks": {} if tasks is None else dict(tasks.counts_by_status()),
    }
