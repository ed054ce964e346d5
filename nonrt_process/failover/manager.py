"""The failover manager: judges the PRIMARY, asks it to step down, kills it, and knows when to stop.

Who starts processes is the supervisor (systemd, `mxrc up`). A standby takes over by itself and
faster (stall_timeout_ms); what is here is for the case that nobody did.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from nonrt_process.failover.diagnosis import Diagnosis, Examiner
from nonrt_process.failover.intervention import Intervention
from nonrt_process.failover.restart_record import RestartRecord
from nonrt_process.quiet import Quiet
from nonrt_process.rt_view import RtView
from shared.clock import Clock
from shared.enums import RtState, SafeCause
from shared.failure_watch import FailureWatch, RestartLimit, Target

if TYPE_CHECKING:
    from shared.config.models.failover_policy import FailoverPolicy

TICK_NS: Final = 100_000_000
MOVING: Final = frozenset({RtState.READY, RtState.RUNNING, RtState.PAUSED})


class Look(NamedTuple):
    """The RT side at one moment.

    view: the PRIMARY, None when there is no segment or it never had one. cycles_head: of the cycle
    ring. main_beat_ns: heartbeat of its main thread. standbys: pids. lost: why there is no segment,
    unless the RT process was stopped in order.
    """

    view: RtView | None
    cycles_head: int = 0
    main_beat_ns: int = 0
    standbys: tuple[int, ...] = ()
    lost: str = ""
    generation: int = 0


class Hands(Protocol):
    """What the manager does to the RT process."""

    def look(self) -> Look: ...

    def ask(self, request: dict[str, Any]) -> None:
        """An admin request to the PRIMARY's main thread; raises MxrcError."""

    def kill(self, target: Target) -> bool:
        """False: it is gone already. Raises PermissionError."""

    def alive(self, target: Target) -> bool: ...

    def make_safe(self) -> None:
        """SAFE_MODE; raises Problem."""

    def leave_safe(self) -> None:
        """PAUSED, where SAFE_MODE was entered by request; raises Problem."""


class Manager:
    """Driven by `tick`, every 100 ms. policy: in force at each tick."""

    def __init__(
        self,
        policy: Callable[[], FailoverPolicy],
        hands: Hands,
        examiner: Examiner,
        intervention: Intervention,
        record: RestartRecord,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._policy = policy
        self._hands = hands
        self._examiner = examiner
        self._intervention = intervention
        self._record = record
        self._clock = clock
        self._log = log
        self._quiet = Quiet(log, clock)
        self._watch = FailureWatch(policy, TICK_NS)
        self._timing_watch = FailureWatch(policy, TICK_NS)
        self._limit = RestartLimit(policy, record.load(clock.monotonic_ns()))
        self._current: Target | None = None
        self._orderly = False
        self._restarts = (0, 0)  # generation, PRIMARYs in it before the present one
        self._asked: tuple[Target, int] | None = None
        self._death_counted: Target | None = None
        self._handover_ns: int | None = None
        self._safe_asked: tuple[int, int] | None = None  # pid, its heartbeat: not answered yet
        self._gone: tuple[int, int] | None = None  # pid, since when: nothing has come in its place
        self._lock = threading.Lock()
        self.diagnosis = Diagnosis()
        self.absence = ""
        """RT has died and nothing has come in its place for restart_window_sec; "" while not so."""
        self.kills = 0
        self.requests = 0

    def tick(self, now_ns: int) -> None:
        """Look, judge, act."""
        with self._lock:
            look = self._hands.look()
            target = self._target(look, now_ns)
            self._examine(look, target, now_ns)
            self._miss(look.view, now_ns)
            failed = self._watch.look(now_ns, target, self.diagnosis.curable)
            late = self._timing_watch.look(now_ns, target, self.diagnosis.timing)
            if self._intervention.reason:
                self._keep_safe(look.view)
            elif self._asked is not None:
                self._follow_up(look, now_ns)
            elif failed and target is not None:
                self._replace(look, target, now_ns)
            elif late and look.view is not None:
                self._timing_failure(look, now_ns)

    def status(self) -> dict[str, Any]:
        """For the API."""
        with self._lock:
            policy = self._policy()
            return {
                "manual_intervention": self._intervention.reason or self.absence or None,
                "manual_intervention_since": self._intervention.since or None,
                "restarts_in_window": self._limit.used(self._clock.monotonic_ns()),
                "max_restart_count": policy.max_restart_count,
                "restart_window_sec": policy.restart_window_sec,
                "failed_checks": self._watch.failures,
                "failure_threshold": policy.failure_threshold,
                "fault": self.diagnosis.curable or self.diagnosis.timing or None,
            }

    def reset(self) -> None:
        """A person has looked: count from zero, act again."""
        with self._lock:
            self._limit.clear()
            self._record.save([])
            self._watch.reset()
            self._timing_watch.reset()
            self._asked = self._gone = None
            self.absence = ""
            if self._intervention.reason:
                self._log.critical("Manual intervention ended by a reset")
                self._leave_safe()
            self._intervention.lift()

    # ---- judging -------------------------------------------------------------------------------

    def _target(self, look: Look, now_ns: int) -> Target | None:
        """The process to judge; deaths are counted on the way."""
        view = look.view
        known = self._current
        if view is not None:
            target = Target(view.pid, view.process_start)
            successor = (look.generation, view.restart_count) != self._restarts
            if known is not None and target != known and not self._hands.alive(known):
                # Who stops in order takes its pid out of the segment.
                stopped = view.state == RtState.SHUTDOWN and not view.alive and not successor
                self._orderly = self._orderly or stopped
                self._died(known, now_ns)
            if successor:
                self._orderly = False  # that was the one before
            self._count_unseen(look.generation, view.restart_count, now_ns)
            if view.alive:
                self._current = target
                self._orderly = view.state == RtState.SHUTDOWN
                return None if self._orderly else target
            if known is not None:  # whoever was dead before this process began is not counted
                self._orderly = self._orderly or view.state == RtState.SHUTDOWN
                self._current = target
                self._died(target, now_ns)
            return None
        if known is None:
            return None
        if not self._hands.alive(known):
            self._orderly = self._orderly or not look.lost
            self._died(known, now_ns)
            self._current = None
            return None
        return known if look.lost else None

    def _count_unseen(self, generation: int, restarts: int, now_ns: int) -> None:
        """Processes that began and died between two ticks."""
        before, self._restarts = self._restarts, (generation, restarts)
        if before[0] == generation:
            for _ in range(restarts - before[1] - 1):
                self._count(now_ns)

    def _count(self, now_ns: int) -> None:
        self._limit.note(now_ns)
        self._record.save(self._limit.times(now_ns))

    def _died(self, target: Target, now_ns: int) -> None:
        """Once per process: its supervisor restarts it now, if the limit allows it."""
        if self._death_counted == target:
            return
        self._death_counted = target
        if self._asked is not None and self._asked[0] == target:
            self._asked = None
        if self._orderly:
            return
        if self._limit.exhausted(now_ns):
            self._give_up(f"RT process {target.pid} has died")
            return
        self._count(now_ns)
        self._gone = (target.pid, now_ns)
        self._log.error(
            "RT process %d has died, restart %d of %d within %d s",
            target.pid,
            self._limit.used(now_ns),
            self._policy().max_restart_count,
            self._policy().restart_window_sec,
        )

    def _miss(self, view: RtView | None, now_ns: int) -> None:
        """Who fails before it is PRIMARY uses up its supervisor's patience, and nobody else's."""
        if self._gone is None or (view is not None and view.alive):
            self._gone, self.absence = None, ""
            return
        pid, since = self._gone
        window_s = self._policy().restart_window_sec
        if not self.absence and now_ns - since >= window_s * 1_000_000_000:
            self.absence = (
                f"RT process {pid} has died, and nothing has come in its place for {window_s} s: "
                "see `systemctl status mxrc-rt`, or what `mxrc up` printed, then `mxrc reset`"
            )
            self._log.critical("MANUAL_INTERVENTION: %s", self.absence)

    def _examine(self, look: Look, target: Target | None, now_ns: int) -> None:
        if target is None:
            self.diagnosis = Diagnosis()
        elif look.view is None:
            self.diagnosis = Diagnosis(curable=f"its segment is gone: {look.lost}")
        else:
            self.diagnosis = self._examiner.examine(
                look.view, look.cycles_head, now_ns, self._policy()
            )

    # ---- acting --------------------------------------------------------------------------------

    def _replace(self, look: Look, target: Target, now_ns: int) -> None:
        policy = self._policy()
        why = f"RT process {target.pid} has failed {policy.failure_threshold} checks in a row"
        if self._limit.exhausted(now_ns):
            self._give_up(f"{why}: {self.diagnosis.curable}")
            return
        main_alive = look.main_beat_ns and (
            now_ns - look.main_beat_ns <= policy.health_check_timeout_ms * 1_000_000
        )
        if look.view is not None and main_alive and self._ask({"operation": "step_down"}):
            self._log.critical("%s: %s; it is asked to step down", why, self.diagnosis.curable)
            self._asked = (target, now_ns)
            return
        self._log.critical("%s: %s; killing it", why, self.diagnosis.curable)
        self._kill(target)

    def _follow_up(self, look: Look, now_ns: int) -> None:
        """Asked to step down: it goes, or it is killed."""
        assert self._asked is not None
        target, since = self._asked
        if not self._hands.alive(target):
            self._asked = None
            return
        if now_ns - since < self._policy().health_check_timeout_ms * 1_000_000:
            return
        self._asked = None
        if not self.diagnosis.curable:
            self._log.warning("RT process %d works again", target.pid)
            return
        self._log.critical("RT process %d has not stepped down; killing it", target.pid)
        self._kill(target)

    def _kill(self, target: Target) -> None:
        self._watch.reset()
        try:
            self.kills += self._hands.kill(target)
        except OSError as error:
            self._quiet.say(
                logging.CRITICAL,
                "kill",
                f"RT process {target.pid} cannot be killed: {error.strerror}: run both processes "
                "as the same user",
            )

    def _ask(self, request: dict[str, Any]) -> bool:
        try:
            self._hands.ask(request)
        except Exception as error:  # noqa: BLE001 - whoever cannot be asked is killed
            self._quiet.say(logging.ERROR, "ask", f"RT cannot be asked: {error}", error)
            return False
        self.requests += 1
        return True

    def _timing_failure(self, look: Look, now_ns: int) -> None:
        """Bad timing alone never kills a process."""
        policy = self._policy()
        self._timing_watch.reset()
        pause_ns = policy.restart_window_sec * 1_000_000_000
        if policy.on_timing_failure == "report" or not look.standbys:
            self._quiet.say(logging.ERROR, "timing", f"RT is late: {self.diagnosis.timing}")
        elif self._handover_ns is None or now_ns - self._handover_ns >= pause_ns:
            self._handover_ns = now_ns
            successor = look.standbys[0]
            if self._ask({"operation": "handover", "to": successor}):
                self._log.critical(
                    "RT is late: %s; it is asked to hand over to %d",
                    self.diagnosis.timing,
                    successor,
                )

    def _give_up(self, what: str) -> None:
        policy = self._policy()
        self._asked = None
        self._intervention.demand(
            f"{what}, and {policy.max_restart_count} restarts within {policy.restart_window_sec} s "
            "are used up: the machine stays in the safe state; find the cause in rt_process.log, "
            "then `mxrc reset`"
        )

    def _leave_safe(self) -> None:
        """Motion goes on only after RESUME."""
        view = self._hands.look().view
        if view is None:
            return
        entered = view.state == RtState.SAFE_MODE and view.safe_cause == SafeCause.REQUEST
        # One that waits in the queue is for whoever reads it next: this one follows it there.
        waits = self._safe_asked is not None and view.state != RtState.SAFE_MODE
        self._safe_asked = None
        if not waits and not (entered and view.alive):
            return
        try:
            self._hands.leave_safe()
        except Exception as error:  # noqa: BLE001 - the reset itself holds
            self._log.error("SAFE_MODE cannot be left: %s", error)

    def _keep_safe(self, view: RtView | None) -> None:
        """Whoever starts RT by hand meanwhile finds it in SAFE_MODE."""
        if view is None or not view.alive or view.state not in MOVING:
            return
        # It is in the queue already, and whoever goes on there reads it first of all.
        if self._safe_asked == (view.pid, view.heartbeat_ns):
            return
        self._safe_asked = (view.pid, view.heartbeat_ns)
        try:
            self._hands.make_safe()
        except Exception as error:  # noqa: BLE001 - tried again once it runs cycles
            self._quiet.say(logging.ERROR, "safe", f"SAFE_MODE cannot be entered: {error}", error)
        else:
            self._safe_asked = None
            self._log.critical("RT put into SAFE_MODE: manual intervention is in force")
