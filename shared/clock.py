"""The one source of time of the Python side.

Code that waits or stamps takes a `Clock`, so that its tests run on a `FakeClock` without waiting.
CLOCK_MONOTONIC orders and measures (the executive's time grid is on it too), CLOCK_REALTIME is for
what people and other machines read.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks in nanoseconds and a way to wait."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in ns: never steps, starts anywhere."""

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME in ns since 1970-01-01T00:00:00Z: may step either way."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; a negative duration is a ValueError."""


class SystemClock:
    """The clocks of the kernel."""

    def monotonic_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def realtime_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_REALTIME)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when told; `sleep` moves it and returns at once.

    Safe to share between threads. `sleeps` keeps every requested duration in seconds, in order.
    """

    def __init__(
        self, monotonic_ns: int = 1_000_000_000, realtime_ns: int = 1_700_000_000_000_000_000
    ) -> None:
        self._lock = threading.Lock()
        self._monotonic_ns = monotonic_ns
        self._realtime_ns = realtime_ns
        self.sleeps: list[float] = []

    def monotonic_ns(self) -> int:
        with self._lock:
            return self._monotonic_ns

    def realtime_ns(self) -> int:
        with self._lock:
            return self._realtime_ns

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        with self._lock:
            self.sleeps.append(seconds)
        self.advance(round(seconds * 1e9))

    def advance(self, nanoseconds: int) -> None:
        """Let time pass: both clocks move forward by `nanoseconds` (>= 0)."""
        if nanoseconds < 0:
            raise ValueError("monotonic time cannot go back; use step_realtime for a clock step")
        with self._lock:
            self._monotonic_ns += nanoseconds
            self._realtime_ns += nanoseconds

    def step_realtime(self, nanoseconds: int) -> None:
        """Step the wall clock by `nanoseconds` (either sign); monotonic time does not notice."""
        with self._lock:
            self._realtime_ns += nanoseconds
