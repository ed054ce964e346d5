"""The RT process's eye on the Non-RT process: one that is stalled is killed, its supervisor starts
another. Without it nobody could stop the machine, so the executive is in SAFE_MODE meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from shared.failure_watch import FailureWatch, RestartLimit, Target
from shared.process_kill import kill_process
from shared.segment import process_alive

if TYPE_CHECKING:
    from shared.config.models.failover_policy import FailoverPolicy
    from shared.segment import Segment

TICK_NS: Final = 50_000_000


class Beat(NamedTuple):
    """The Non-RT process as the segment knows it. heartbeat_ns: CLOCK_MONOTONIC. ready: all of
    its parts run.
    """

    target: Target
    heartbeat_ns: int
    ready: bool


class NonRt(Protocol):
    """Where it is looked at."""

    def beat(self) -> Beat | None:
        """None when there is none that lives."""

    def kill(self, target: Target) -> bool:
        """Raises OSError."""


class NonRtWatch:
    """Once the restart limit is used up nobody is killed any more, however old the kills become,
    until a person has acted: another process is there, which nobody here made room for, and works.

    policy: in force at each look. log: writes an event of events.def. say: for a person.
    """

    def __init__(
        self,
        policy: Callable[[], FailoverPolicy],
        nonrt: NonRt,
        log: Callable[..., None],
        say: Callable[[str], None],
    ) -> None:
        self._policy = policy
        self._nonrt = nonrt
        self._log = log
        self._say = say
        self._watch = FailureWatch(policy, TICK_NS)
        self._limit = RestartLimit(policy)
        self._given_up: Target | None = None

    def turn(self, now_ns: int) -> None:
        """Called every TICK_NS by the main thread of the PRIMARY."""
        beat = self._nonrt.beat()
        age_ms = 0.0 if beat is None else (now_ns - beat.heartbeat_ns) / 1e6
        stalled = age_ms > self._policy().health_check_timeout_ms
        target = None if beat is None else beat.target
        failed = self._watch.look(now_ns, target, "stalled" if stalled else "")
        if self._given_up is not None:
            if beat is None or target == self._given_up or stalled or not beat.ready:
                return
            self._say(f"Non-RT process {beat.target.pid} was started by hand: restarts count anew")
            self._given_up = None
            self._limit.clear()
        if not failed or target is None:
            return
        if self._limit.exhausted(now_ns):
            self._given_up = target
            self._log("NONRT_GIVEN_UP", target.pid, age_ms)
            self._say(
                f"MANUAL_INTERVENTION: Non-RT process {target.pid} is stalled and the restart "
                f"limit is used up; find the cause, then kill -9 {target.pid} and `mxrc reset`"
            )
            return
        self._watch.reset()
        try:
            if self._nonrt.kill(target):
                self._limit.note(now_ns)
                self._log("NONRT_KILLED", target.pid, age_ms)
                self._say(f"Non-RT process {target.pid} is stalled for {age_ms:.0f} ms: killed")
        except OSError as error:
            self._say(f"Non-RT process {target.pid} is stalled and cannot be killed: {error}")


class SegmentNonRt:
    """The Non-RT process of a segment."""

    def __init__(self, segment: Segment) -> None:
        self._status = segment.nonrt_status

    def beat(self) -> Beat | None:
        status = self._status
        target = Target(int(status.pid), int(status.process_start))
        if not process_alive(*target):
            return None
        return Beat(target, int(status.heartbeat_ns), bool(status.ready))

    def kill(self, target: Target) -> bool:
        return kill_process(*target)
