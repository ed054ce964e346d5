"""Where time stamps come from: the machine's clock, or a simulated one that a seed repeats."""

from __future__ import annotations

import time
from random import Random
from typing import Protocol

# Mean gap between two records when nothing else says how fast the simulated time runs: about five
# records a second over the whole fleet, so that a request takes seconds and an incident a minute.
SIMULATED_GAP_MS = 200


class LogClock(Protocol):
    """Gives the time of each record in milliseconds since the epoch; never goes back."""

    def next_ms(self, lines_before: int) -> int:
        """Time of the next record, `lines_before` lines after the previous one began."""
        ...


class WallClock:
    """The machine's clock; a step backwards is held until time has caught up."""

    def __init__(self) -> None:
        self._last = 0

    def next_ms(self, lines_before: int) -> int:
        now = time.time_ns() // 1_000_000
        if now > self._last:
            self._last = now
        return self._last


class SimulatedClock:
    """Time that runs with the records, so that the same seed gives the same stamps.

    A record follows its predecessor after `gap_ms`, or after `ms_per_line` for each line of the
    predecessor (a rate in lines per second), or, with neither, after a random gap around
    SIMULATED_GAP_MS.
    """

    def __init__(
        self, start_ms: int, random: Random, *, gap_ms: float = 0.0, ms_per_line: float = 0.0
    ) -> None:
        self._now = float(start_ms)
        self._random = random.random
        self._gap = gap_ms
        self._per_line = ms_per_line
        self._started = False

    def next_ms(self, lines_before: int) -> int:
        if not self._started:
            self._started = True
        elif self._gap:
            self._now += self._gap
        elif self._per_line:
            self._now += self._per_line * lines_before
        else:
            self._now += 2.0 * SIMULATED_GAP_MS * self._random()
        return int(self._now)


_MILLIS = tuple(f"{n:03d}" for n in range(1000))


class TextStamp:
    """`YYYY-MM-DD hh:mm:ss.mmm` in UTC; the part up to the second is formatted once a second."""

    _format = "%Y-%m-%d %H:%M:%S."
    _suffix = ""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def __call__(self, ms: int) -> str:
        second, milli = divmod(ms, 1000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime(self._format, time.gmtime(second))
        return self._prefix + _MILLIS[milli] + self._suffix


class IsoStamp(TextStamp):
    """RFC 3339 in UTC with milliseconds: `YYYY-MM-DDThh:mm:ss.mmmZ`."""

    _format = "%Y-%m-%dT%H:%M:%S."
    _suffix = "Z"
