"""When one process may call another one failed, and how often it may be replaced.

Both processes watch each other by failover_policy.json with what is here; neither knows what a
check looks at. Needs neither numpy nor pydantic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

SLACK_NS: Final = 100_000_000
"""How late a tick of the observer may come and still count as on time."""


class CheckPolicy(Protocol):
    """The part of FailoverPolicy that says when a process counts as failed."""

    @property
    def health_check_timeout_ms(self) -> int: ...
    @property
    def failure_threshold(self) -> int: ...


class RestartPolicy(Protocol):
    """The part of FailoverPolicy that limits restarts."""

    @property
    def max_restart_count(self) -> int: ...
    @property
    def restart_window_sec(self) -> int: ...


class Target(NamedTuple):
    """A process, beyond the reuse of its pid."""

    pid: int
    process_start: int


class Punctuality:
    """Whether the observer itself is on time: one that was stopped or starved sees old heartbeats
    everywhere, and may not judge before two of its own ticks came as they should.
    """

    def __init__(self, interval_ns: int) -> None:
        self._limit_ns = interval_ns + max(interval_ns, SLACK_NS)
        self._last_ns: int | None = None
        self._on_time = 0

    def tick(self, now_ns: int) -> bool:
        """Called every interval_ns; True: the last two ticks were on time."""
        late = self._last_ns is None or now_ns - self._last_ns > self._limit_ns
        self._on_time = 0 if late else self._on_time + 1
        self._last_ns = now_ns
        return self._on_time >= 2


class FailureWatch:
    """Counts failed checks in a row of one process.

    The check after a fault was first seen does not wait for its turn, and as long as there is one
    the next follows after health_check_timeout_ms. So that this costs nobody his life who is only
    slow, the fault has to stand all the time: one look in between without it begins anew.

    policy: in force at each look. tick_ns: time between two calls of `look`.
    """

    def __init__(self, policy: Callable[[], CheckPolicy], tick_ns: int) -> None:
        self._policy = policy
        self._punctuality = Punctuality(tick_ns)
        self._target: Target | None = None
        self._next_ns = 0
        self.failures = 0

    def look(self, now_ns: int, target: Target | None, fault: str) -> bool:
        """True: the process has failed. fault: what is wrong with it now, "" for nothing.

        Another process begins at zero.
        """
        may_judge = self._punctuality.tick(now_ns)
        policy = self._policy()
        if target != self._target:
            self._target = target
            self.failures = 0
        if not fault:
            self.failures = 0
        if not fault or target is None or not may_judge:
            return False
        if self.failures and now_ns < self._next_ns:
            return False
        self._next_ns = now_ns + policy.health_check_timeout_ms * 1_000_000
        self.failures += 1
        return self.failures >= policy.failure_threshold

    def reset(self) -> None:
        """Begin to count anew."""
        self.failures = 0


class RestartLimit:
    """Restarts within restart_window_sec. Times in ns of CLOCK_MONOTONIC.

    before: those that are known already, ascending.
    """

    def __init__(self, policy: Callable[[], RestartPolicy], before: Iterable[int] = ()) -> None:
        self._policy = policy
        self._times: deque[int] = deque(before)

    def note(self, now_ns: int) -> None:
        """A restart began."""
        self._times.append(now_ns)

    def used(self, now_ns: int) -> int:
        """Restarts within the window."""
        return len(self.times(now_ns))

    def times(self, now_ns: int) -> list[int]:
        """Of the restarts within the window, ascending."""
        window_ns = self._policy().restart_window_sec * 1_000_000_000
        while self._times and now_ns - self._times[0] >= window_ns:
            self._times.popleft()
        return list(self._times)

    def exhausted(self, now_ns: int) -> bool:
        """Whether one more would be too many."""
        return self.used(now_ns) >= self._policy().max_restart_count

    def clear(self) -> None:
        """Somebody has looked at it: count from zero."""
        self._times.clear()
