"""Saying the same thing again and again, but not too often."""

from __future__ import annotations

import logging
import threading

from shared.clock import Clock

INTERVAL_NS = 10_000_000_000


class Quiet:
    """Logs a message of one kind at most every ten seconds, with the number left out in between."""

    def __init__(self, log: logging.Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._last: dict[str, int] = {}
        self._left_out: dict[str, int] = {}
        self._lock = threading.Lock()

    def say(self, level: int, kind: str, message: str, error: BaseException | None = None) -> None:
        """Log `message` unless one of the same `kind` was logged less than ten seconds ago."""
        now = self._clock.monotonic_ns()
        with self._lock:
            last = self._last.get(kind)
            if last is not None and now - last < INTERVAL_NS:
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
                return
            self._last[kind] = now
            left_out = self._left_out.pop(kind, 0)
        more = f" ({left_out} more like it before)" if left_out else ""
        self._log.log(level, "%s%s", message, more, exc_info=error)
