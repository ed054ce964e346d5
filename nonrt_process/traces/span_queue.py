"""The bounded queue between those who make spans and the one who sends them.

What is taken stays in the queue until it is acknowledged, so that a batch whose delivery fails goes
out again, in order. When the bound is reached the oldest spans go, and are counted. A spool on disk
takes the place of this class behind the same methods.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

from nonrt_process.traces.otlp import Item

MAX_SPANS: Final = 65_536


class Taken(NamedTuple):
    """Spans to be delivered. first: their place in the order of all spans ever queued."""

    first: int
    items: Sequence[Item]


class SpanBuffer(Protocol):
    """What the exporter delivers from."""

    def take(self, limit: int, timeout_s: float) -> Taken:
        """Up to `limit` of the oldest spans; waits for the first of them."""

    def acknowledge(self, taken: Taken) -> None:
        """They are delivered (or refused for good): forget them."""


class SpanQueue:
    """SpanBuffer in memory; `put` never blocks."""

    def __init__(self, bound: int = MAX_SPANS) -> None:
        self._bound = bound
        self._items: deque[Item] = deque()
        self._first = 0
        self._condition = threading.Condition()
        self._closed = False
        self.dropped = 0
        self.discard = False
        """True: nothing is exported, so nothing is kept."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Sequence[Item]) -> None:
        """Queue finished spans."""
        if not items or self.discard:
            return
        with self._condition:
            self._items.extend(items)
            excess = len(self._items) - self._bound
            for _ in range(excess):
                self._items.popleft()
            if excess > 0:
                self._first += excess
                self.dropped += excess
            self._condition.notify()

    def take(self, limit: int, timeout_s: float) -> Taken:
        with self._condition:
            self._condition.wait_for(lambda: self._items or self._closed, timeout_s)
            return Taken(self._first, list(islice(self._items, limit)))

    def acknowledge(self, taken: Taken) -> None:
        with self._condition:
            # Some of them may have been dropped meanwhile.
            count = min(max(0, taken.first + len(taken.items) - self._first), len(self._items))
            for _ in range(count):
                self._items.popleft()
            self._first += count

    def close(self) -> None:
        """Nobody waits in `take` any longer."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
