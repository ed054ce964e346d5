"""The consumer that brings the events of RT onto the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer
from nonrt_process.event_bus.bus import MAX_VALUES, Bus
from nonrt_process.interfaces import BusEvent
from shared.anchors import Anchors
from shared.enums import EventKind
from shared.names import Names
from shared.trace_context import TraceContext

if TYPE_CHECKING:
    from shared.segment import Segment

BUSY_INTERVAL_S: Final = 0.01
IDLE_INTERVAL_S: Final = 0.1


class RtEvents(Consumer):
    """Only puts events into queues: it never waits for an observer."""

    name = "event_bus"
    wants_events = True
    interval_s = IDLE_INTERVAL_S

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus
        self._names: Names | None = None

    def on_attach(self, segment: Segment) -> None:
        self._names = Names(segment)
        self._bus.spans.anchors = Anchors(segment)

    def on_detach(self) -> None:
        self._names = None
        self._bus.spans.anchors = None

    def on_batch(self, batch: Batch) -> None:
        assert self._names is not None, "attached"
        events, _ = batch.select(EventKind.BUS)
        for record in events:
            self._bus.deliver(bus_event(record, self._names))

    def on_tick(self, now_ns: int) -> None:
        # Nobody waits for the events when nobody has subscribed.
        self.interval_s = BUSY_INTERVAL_S if self._bus.mailboxes() else IDLE_INTERVAL_S


def bus_event(record: np.void, names: Names) -> BusEvent:
    """An event record of kind MXRC_EVENT_BUS. Its trace: the span that published it."""
    trace_id, span_id = bytes(record["trace_id"]), bytes(record["span_id"])
    trace = None
    if any(trace_id) and any(span_id):
        trace = TraceContext(trace_id, span_id, int(record["trace_flags"]))
    count = min(int(record["count"]), MAX_VALUES)
    return BusEvent(
        topic=names.resolve(int(record["code"])),
        values=tuple(record["args"][:count].tolist()),
        source="rt",
        time_ns=int(record["time_ns"]),
        trace=trace,
        task_id=bytes(record["task_id"]).decode("utf-8", "replace"),
        execution_id=int(record["execution_id"]),
        cycle=int(record["cycle"]),
    )
