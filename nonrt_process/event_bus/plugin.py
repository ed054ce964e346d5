"""Part `event_bus`: the bus, the events of RT, the routes."""

from __future__ import annotations

from nonrt_process.context import Context
from nonrt_process.event_bus.bus import Bus
from nonrt_process.event_bus.health import BusCheck
from nonrt_process.event_bus.metrics import BusMetrics
from nonrt_process.event_bus.router import make_router
from nonrt_process.event_bus.routes import subscribe_route
from nonrt_process.event_bus.rt_events import RtEvents
from nonrt_process.interfaces import EventBus
from nonrt_process.plugins import Plugin


def create(context: Context) -> Plugin:
    """Make the part."""
    return EventBusPlugin(context)


class EventBusPlugin(Plugin):
    """See the module."""

    def __init__(self, context: Context) -> None:
        config = context.config.current.event_bus
        self._bus = Bus(context, config.queue_length, context.log.getChild("event_bus"))
        super().__init__(
            "event_bus",
            consumers=[RtEvents(self._bus)],
            routers=[make_router(self._bus)],
            health_checks=[BusCheck(self._bus)],
            metrics=[BusMetrics(self._bus)],
        )
        context.provide(EventBus, self._bus)
        for route in config.routes:
            subscribe_route(self._bus, route)

    def stop(self) -> None:
        """Let the observers finish what they have, for a moment."""
        self._bus.stop()
