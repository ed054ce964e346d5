"""Metrics of the observers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric

from nonrt_process.event_bus.bus import Bus
from nonrt_process.metric_families import Families

OWN: Final = {"process": "non_rt_process"}


class BusMetrics:
    """A source of metrics (Plugin.metrics)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def collect(self) -> Iterable[Metric]:
        families = Families()
        for one in self._bus.observers():
            labels = {**OWN, "observer": one.name}
            families.gauge(
                "mxrc_eventbus_queue_events",
                "Events that wait for the observer",
                one.queued,
                labels,
            )
            for name, text, value in (
                ("mxrc_eventbus_events", "Events that the observer was called for", one.processed),
                (
                    "mxrc_eventbus_dropped_events",
                    "Events dropped because the observer was too slow",
                    one.dropped,
                ),
                ("mxrc_eventbus_failures", "Calls of the observer that failed", one.failures),
            ):
                families.counter(name, text, value, labels)
        return families.metrics()
