"""Events from outside for the tasks that wait for them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from nonrt_process.context import Context
from nonrt_process.interfaces import CommandPort, current_trace

_PROBLEM = {"description": "Problem document"}


class BusEvent(BaseModel):
    """What happened."""

    model_config = ConfigDict(extra="forbid")

    value: float = Field(1.0, allow_inf_nan=False, description="What conditions compare")


class Delivered(BaseModel):
    """A running task has taken the event."""

    topic: str
    cycle: int = Field(description="Cycle in which RT took it")


def make_router(context: Context) -> APIRouter:
    """POST /api/v1/events/{topic}."""
    router = APIRouter(prefix="/api/v1/events", tags=["events"])

    @router.post(
        "/{topic}",
        response_model=Delivered,
        responses=dict.fromkeys((409, 429, 503, 504), _PROBLEM),
    )
    def publish(
        topic: Annotated[str, Path(min_length=1, max_length=63)], body: BusEvent, request: Request
    ) -> dict[str, Any]:
        """Give an event to every running task that listens to its topic; 409: none does."""
        port = context.require(CommandPort)
        reply = port.call_bus_event(topic, body.value, current_trace(request))
        return {"topic": topic, "cycle": reply.cycle}

    return router
