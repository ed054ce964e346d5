"""Events over HTTP: publish one, see who observes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from nonrt_process.interfaces import EventBus, QueueFull, Refused, RtNoReply, current_trace
from nonrt_process.problem_document import documented
from shared.config.models.names import NAME_PATTERN


class NewEvent(BaseModel):
    """What happened."""

    model_config = ConfigDict(extra="forbid")

    value: float = Field(
        1.0, allow_inf_nan=False, strict=True, description="What conditions compare"
    )


class DeliveredEvent(BaseModel):
    """Somebody has got the event."""

    topic: str
    cycle: int | None = Field(
        description="Cycle in which RT gave it to running tasks; null: none of them listens"
    )
    observers: int = Field(description="Observers in the Non-RT process that it was given to")


class ObserverDocument(BaseModel):
    """An observer; counts since it subscribed."""

    name: str
    pattern: str = Field(description="Topics that it wants")
    queued: int = Field(description="Events that wait for it")
    queue_length: int = Field(description="How many may wait; beyond that the oldest are dropped")
    processed: int
    dropped: int
    failures: int = Field(description="Calls that failed")
    busy_s: float = Field(description="How long the call in progress has lasted; 0: none is")


class Observers(BaseModel):
    """All observers."""

    observers: list[ObserverDocument]


def make_router(bus: EventBus) -> APIRouter:
    """GET /api/v1/events, POST /api/v1/events/{topic}."""
    router = APIRouter(prefix="/api/v1/events", tags=["events"])

    @router.get("", response_model=Observers)
    def list_observers() -> dict[str, Any]:
        """Who observes events in the Non-RT process, and how it keeps up."""
        return {"observers": [asdict(one) for one in bus.observers()]}

    @router.post(
        "/{topic}",
        response_model=DeliveredEvent,
        responses=documented(Refused, QueueFull, RtNoReply),
    )
    def publish(
        topic: Annotated[str, Path(pattern=NAME_PATTERN)], body: NewEvent, request: Request
    ) -> dict[str, Any]:
        """Give an event to the running tasks that listen, and to observers; 409: nobody at all."""
        done = bus.send_to_rt(topic, body.value, trace=current_trace(request))
        return {"topic": topic, "cycle": done.cycle, "observers": done.observers}

    return router
