"""Spans that this process made itself, on their way to the thread that writes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from nonrt_process.traces.otlp import Finished

MAX_SPANS: Final = 65_536


class Inbox:
    """For any thread; `put` waits for a moment's lock at most. Beyond the bound the oldest go."""

    def __init__(self, bound: int = MAX_SPANS) -> None:
        self._spans: deque[Finished] = deque()
        self._bound = bound
        self._lock = threading.Lock()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._spans)

    def put(self, spans: Sequence[Finished]) -> None:
        """Keep finished spans."""
        with self._lock:
            self._spans.extend(spans)
            while len(self._spans) > self._bound:
                self._spans.popleft()
                self.dropped += 1

    def take_all(self) -> list[Finished]:
        """All of them, in order; they are the caller's now."""
        with self._lock:
            spans, self._spans = self._spans, deque()
        return list(spans)
