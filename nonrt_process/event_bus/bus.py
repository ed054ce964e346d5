"""The bus: matches events with observers, runs their calls, sends events to RT."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from nonrt_process.context import Context
from nonrt_process.event_bus.mailbox import Mailbox
from nonrt_process.event_bus.spans import ProcessSpans
from nonrt_process.interfaces import (
    BusEvent,
    CommandPort,
    Delivered,
    EventLoop,
    InvalidEvent,
    Observer,
    ObserverFigures,
    Refused,
)
from nonrt_process.process_info import rfc3339
from nonrt_process.quiet import Quiet
from shared.config.models.names import NAME_PATTERN
from shared.core import lib
from shared.enums import Result
from shared.trace_context import TraceContext

MAX_VALUES: Final = int(lib.MXRC_ARGS)
MAX_HOPS: Final = 16
STOP_S: Final = 2.0
_TOPIC: Final = re.compile(NAME_PATTERN)


class Bus:
    """EventBus. queue_length: of observers that do not name one."""

    def __init__(self, context: Context, queue_length: int, log: logging.Logger) -> None:
        self._context = context
        self._clock = context.clock
        self._queue_length = queue_length
        self._log = log
        self._quiet = Quiet(log, context.clock)
        self.spans: Final = ProcessSpans(context)
        self._lock = threading.Lock()
        self._mailboxes: tuple[Mailbox, ...] = ()

    def subscribe(
        self,
        name: str,
        pattern: str,
        observer: Observer,
        *,
        source: Literal["rt", "nonrt", "any"] = "any",
        queue_length: int | None = None,
    ) -> Callable[[], None]:
        def process(mailbox: Mailbox, event: BusEvent) -> bool:
            return self._process(mailbox, observer, event)

        length = self._queue_length if queue_length is None else queue_length
        mailbox = Mailbox(name, pattern, source, length, process, self._clock)
        with self._lock:
            if any(one.name == name for one in self._mailboxes):
                raise ValueError(f"an observer {name!r} has subscribed already")
            # A new tuple: who publishes goes through either of them without a lock.
            self._mailboxes = (*self._mailboxes, mailbox)

        def end() -> None:
            mailbox.close()
            with self._lock:
                self._mailboxes = tuple(one for one in self._mailboxes if one is not mailbox)

        return end

    def publish(
        self,
        topic: str,
        values: Sequence[float] = (),
        *,
        cause: BusEvent | None = None,
        trace: TraceContext | None = None,
    ) -> int:
        return self.deliver(self._event(topic, values, cause, trace))

    def send_to_rt(
        self,
        topic: str,
        value: float = 1.0,
        *,
        cause: BusEvent | None = None,
        trace: TraceContext | None = None,
        timeout_s: float = 2.0,
    ) -> Delivered:
        event = self._event(topic, (value,), cause, trace)
        port = self._context.require(CommandPort)
        cycle: int | None = None
        try:
            cycle = port.call_bus_event(topic, event.value, event.trace, timeout_s).cycle
        except Refused as error:
            if error.result != Result.ERR_UNKNOWN or not self._matching(event):
                raise
        return Delivered(self.deliver(event), cycle)

    def deliver(self, event: BusEvent) -> int:
        """Put an event into the queues of those that want it; returns how many."""
        found = self._matching(event)
        for mailbox in found:
            if not mailbox.put(event):
                self._quiet.say(
                    logging.WARNING,
                    f"dropped {mailbox.name}",
                    f"Observer {mailbox.name} is too slow: its queue of {mailbox.queue_length} "
                    f"events is full, the oldest are dropped, {mailbox.dropped} until now",
                )
        return len(found)

    def queued(self, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for mailbox in self._mailboxes:
            for event in mailbox.pending():
                if len(found) >= limit:
                    return found
                found.append({"observer": mailbox.name, **self._described(event)})
        return found

    def observers(self) -> Sequence[ObserverFigures]:
        return [mailbox.figures() for mailbox in self._mailboxes]

    def mailboxes(self) -> tuple[Mailbox, ...]:
        """One for each observer."""
        return self._mailboxes

    def stop(self) -> None:
        """Give the observers a moment for what is in their queues; the rest is dropped and said."""
        mailboxes = self._mailboxes
        for mailbox in mailboxes:
            mailbox.close()
        deadline = self._clock.monotonic_ns() + round(STOP_S * 1e9)
        for mailbox in mailboxes:
            left = mailbox.end((deadline - self._clock.monotonic_ns()) / 1e9)
            if left:
                self._log.warning(
                    "Observer %s did not come to %d events before the end of the process",
                    mailbox.name,
                    left,
                )

    def _matching(self, event: BusEvent) -> list[Mailbox]:
        return [mailbox for mailbox in self._mailboxes if mailbox.wants(event)]

    def _event(
        self,
        topic: str,
        values: Sequence[float],
        cause: BusEvent | None,
        trace: TraceContext | None,
    ) -> BusEvent:
        if _TOPIC.fullmatch(topic) is None:
            raise InvalidEvent(
                f"topic {topic!r:.100}: must be a name of at most 47 letters, digits, '_', '.', "
                "'-' that begins with a letter"
            )
        numbers = tuple(float(value) for value in values)
        if len(numbers) > MAX_VALUES or not all(map(math.isfinite, numbers)):
            raise InvalidEvent(
                f"values {list(values)!r:.100} of event {topic}: must be at most {MAX_VALUES} "
                "finite numbers"
            )
        hops = 0
        if cause is not None:
            hops, trace = cause.hops + 1, trace or cause.trace
        if hops > MAX_HOPS:
            raise EventLoop(
                f"event {topic} comes after {hops} events that each answer the one before: do the "
                "observers answer each other?"
            )
        return BusEvent(topic, numbers, "nonrt", self._clock.monotonic_ns(), trace=trace, hops=hops)

    def _process(self, mailbox: Mailbox, observer: Observer, event: BusEvent) -> bool:
        """Call the observer within a span. Never raises."""
        with self.spans.around(mailbox.name, event) as span:
            try:
                observer(replace(event, trace=span.context))
            except Exception as error:  # noqa: BLE001 - the bus outlives what observers do
                span.error = f"{type(error).__name__}: {error}"
                self._quiet.say(
                    logging.ERROR,
                    f"failed {mailbox.name}",
                    f"Observer {mailbox.name} failed with event {event.topic}: {error}",
                    error,
                )
                return False
        return True

    def _described(self, event: BusEvent) -> dict[str, Any]:
        return {
            "topic": event.topic,
            "values": list(event.values),
            "source": event.source,
            "time": rfc3339(self.spans.realtime_ns(event.time_ns)),
            "task_id": event.task_id,
            "execution_id": event.execution_id,
            "trace_id": "" if event.trace is None else event.trace.trace_id.hex(),
        }
