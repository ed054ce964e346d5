"""One observer: its bounded queue, and the thread that calls it.

Who publishes never waits for it: it takes a lock that is held for a few instructions only.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from fnmatch import translate
from typing import Final, Literal

from nonrt_process.interfaces import BusEvent, ObserverFigures
from shared.clock import Clock

Process = Callable[["Mailbox", BusEvent], bool]
"""Calls the observer; False when it failed. Never raises."""

IDLE_S: Final = 60.0


class Mailbox:
    """queue_length: events that may wait; beyond that the oldest are dropped and counted.

    process: does the work for one event. The thread begins with the first event.
    """

    def __init__(
        self,
        name: str,
        pattern: str,
        source: Literal["rt", "nonrt", "any"],
        queue_length: int,
        process: Process,
        clock: Clock,
    ) -> None:
        if queue_length < 1:
            raise ValueError(f"queue_length {queue_length} of observer {name!r}: at least 1")
        self.name: Final = name
        self.pattern: Final = pattern
        self.queue_length: Final = queue_length
        self._matches = re.compile(translate(pattern)).match
        self._source = source
        self._process = process
        self._clock = clock
        self._condition = threading.Condition()
        self._queue: deque[BusEvent] = deque()
        self._in_hand: BusEvent | None = None
        self._in_hand_since = 0
        self._closed = False
        self._ending = False
        self._thread: threading.Thread | None = None
        self.processed = 0
        self.dropped = 0
        self.failures = 0
        self.last_drop_ns: int | None = None

    def wants(self, event: BusEvent) -> bool:
        """Whether the event is for this observer."""
        wanted = self._source in ("any", event.source)
        return wanted and self._matches(event.topic) is not None

    def put(self, event: BusEvent) -> bool:
        """Have it processed; False when an event was dropped for want of room. Never blocks."""
        with self._condition:
            if self._closed:
                self._count_dropped(1)
                return True
            room = len(self._queue) < self.queue_length
            if not room:
                self._queue.popleft()
                self._count_dropped(1)
            self._queue.append(event)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"bus-{self.name}"[:15], daemon=True
                )
                self._thread.start()
            self._condition.notify()
        return room

    def pending(self) -> list[BusEvent]:
        """Events that it is not done with, oldest first; the one in hand is among them."""
        with self._condition:
            in_hand = [] if self._in_hand is None else [self._in_hand]
            return [*in_hand, *self._queue]

    def busy_s(self) -> float:
        """How long the call in progress has lasted; 0: there is none."""
        with self._condition:
            if self._in_hand is None:
                return 0.0
            return max(0, self._clock.monotonic_ns() - self._in_hand_since) / 1e9

    def figures(self) -> ObserverFigures:
        """See there."""
        return ObserverFigures(
            self.name,
            self.pattern,
            len(self._queue),
            self.queue_length,
            self.processed,
            self.dropped,
            self.failures,
            self.busy_s(),
        )

    def close(self) -> None:
        """Take nothing any more; what waits is still processed."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def end(self, timeout_s: float) -> int:
        """Close, wait until what is in the queue is processed; returns how many events were not."""
        self.close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, timeout_s))
        with self._condition:
            self._ending = True
            left = len(self._queue) + (self._in_hand is not None)
            self._queue.clear()
            if left:
                self._count_dropped(left)
            self._condition.notify()
        return left

    def _count_dropped(self, count: int) -> None:
        """With the lock held."""
        self.dropped += count
        self.last_drop_ns = self._clock.monotonic_ns()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._queue:
                    if self._closed or self._ending:
                        return
                    self._condition.wait(IDLE_S)
                event = self._in_hand = self._queue.popleft()
                self._in_hand_since = self._clock.monotonic_ns()
            good = self._process(self, event)
            with self._condition:
                self._in_hand = None
                self.processed += 1
                self.failures += not good
