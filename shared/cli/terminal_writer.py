"""Writing to a terminal that may be stopped (Ctrl-S) or read slowly, without waiting for it.

What supervises processes must not stand still because nobody reads what it says.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Final

MAX_WAITING: Final = 1000
PATIENCE_S: Final = 2.0


class TerminalWriter:
    """Runs what is put, in order, in a thread of its own; drops and counts what does not fit."""

    def __init__(self, say_dropped: Callable[[int], None], max_waiting: int = MAX_WAITING) -> None:
        """say_dropped: called in the thread with the number dropped, once there is room again."""
        self._say_dropped = say_dropped
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(max_waiting)
        self._dropped = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, write: Callable[[], object]) -> None:
        """Have `write` called; never waits."""
        try:
            self._waiting.put_nowait(write)
        except queue.Full:
            with self._lock:
                self._dropped += 1

    @property
    def idle(self) -> bool:
        """Nothing waits to be written: the terminal keeps up."""
        return self._waiting.empty()

    def close(self, patience_s: float = PATIENCE_S) -> bool:
        """Write what waits; False when the terminal did not take it in time."""
        try:
            self._waiting.put(None, timeout=patience_s)
        except queue.Full:
            return False
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (write := self._waiting.get()) is not None:
            self._call(write)
            with self._lock:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                self._call(lambda count=dropped: self._say_dropped(count))  # type: ignore[misc]

    @staticmethod
    def _call(write: Callable[[], object]) -> None:
        # Whoever read it may be gone; the processes still have to be stopped in order.
        with contextlib.suppress(OSError):
            write()
