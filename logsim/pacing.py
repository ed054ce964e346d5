"""When the next record is due: a fixed interval between records, a rate of lines, or both."""

from __future__ import annotations

from collections.abc import Callable

# A rate is kept by few pauses, not one a line: what is due within this time goes out at once.
SLACK_S = 0.005
# Later than this (the machine was suspended, the reader stalled): go on from now, make up nothing.
LATE_S = 1.0


class Pacer:
    """Keeps an absolute grid, so that what the records cost to make does not add up.

    interval_s: seconds from record to record, 0 for none. rate: lines per second, 0 for no limit.
    With both, the slower one holds.
    """

    def __init__(self, interval_s: float, rate: float, monotonic: Callable[[], float]) -> None:
        self._interval = interval_s
        self._rate = rate
        self._monotonic = monotonic
        self._start = monotonic()
        self._next = self._start
        self._lines_at_start = 0

    @property
    def idle(self) -> bool:
        """Nothing to wait for, ever."""
        return not self._interval and not self._rate

    def wait_s(self, lines: int) -> float:
        """Seconds until the next record may go, `lines` lines having gone so far; 0: go."""
        now = self._monotonic()
        wait = 0.0
        if self._interval:
            if now - self._next > max(LATE_S, self._interval):
                self._next = now
            wait = self._next - now
        if self._rate:
            due = self._start + (lines - self._lines_at_start) / self._rate
            if now - due > LATE_S:
                self._start = now
                self._lines_at_start = lines
            elif due - now > SLACK_S:
                wait = max(wait, due - now)
        return max(wait, 0.0)

    def sent(self) -> None:
        """A record has gone out."""
        self._next += self._interval
