"""Routes of event_bus.json: observers that answer an event with an event to RT."""

from __future__ import annotations

from nonrt_process.interfaces import BusEvent, EventBus
from shared.config.models.event_bus import EventRoute


def subscribe_route(bus: EventBus, route: EventRoute) -> None:
    """The answer belongs to the trace of the event."""

    def answer(event: BusEvent) -> None:
        value = event.value if route.value is None else route.value
        bus.send_to_rt(route.send, value, cause=event)

    bus.subscribe(f"route.{route.name}", route.on, answer, source=route.source)
