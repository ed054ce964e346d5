"""Checks of the RT process, from what is in the segment; each looks at one thing."""

from __future__ import annotations

from collections.abc import Callable

from nonrt_process.context import Context
from nonrt_process.health.registry import SimpleCheck
from nonrt_process.interfaces import HEALTHY, Finding, HealthCheck, HealthStatus
from nonrt_process.rt_view import RtView, read_rt
from shared.enums import RtState, SafeCause, name_of

START_NS = 5_000_000_000
"""How long an absent RT process counts as starting, after the start of this process."""

_CAUSES: dict[int, str] = {
    SafeCause.REQUEST: "it was asked to",
    SafeCause.LAW_FAULT: "a control law failed",
    SafeCause.HEARTBEAT: "the Non-RT heartbeat was lost",
    SafeCause.OVERRUN: "a cycle overran",
    SafeCause.DRIVER: "the driver failed",
    SafeCause.TASK: "a task asked for it",
    SafeCause.LEASE: "the lease has run out",
    SafeCause.ENTRY: "a schedule entry of high criticality failed",
}


class RtChecks:
    """Makes the checks; `view` reads the segment, None while there is nothing to look at."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def all(self) -> list[HealthCheck]:
        """In the order in which a person would ask."""
        functions: dict[str, Callable[[int], Finding]] = {
            "segment": self.segment,
            "process": self.process,
            "heartbeat": self.heartbeat,
            "state": self.state,
            "deadlines": self.deadlines,
            "placement": self.placement,
        }
        return [SimpleCheck(name, "rt_process", check) for name, check in functions.items()]

    def view(self) -> RtView | None:
        segment = self._context.segment
        return None if segment is None else read_rt(segment)

    def segment(self, now_ns: int) -> Finding:
        if self._context.segment is not None:
            return HEALTHY
        problem = self._context.heart.problem
        if problem is None:  # attached in this very moment
            return Finding(HealthStatus.STARTING, "attaching to the segment")
        if problem.kind == "stopped":
            return Finding(HealthStatus.STOPPED, problem.message)
        if problem.kind == "absent" and now_ns - self._context.heart.started_ns < START_NS:
            return Finding(HealthStatus.STARTING, problem.message)
        return Finding(HealthStatus.UNHEALTHY, problem.message)

    def process(self, now_ns: int) -> Finding:
        if self._context.segment is None:
            return HEALTHY
        view = self.view()
        if view is None:
            return Finding(HealthStatus.STARTING, "no RT process has become PRIMARY yet")
        if view.alive:
            return HEALTHY
        if view.state == RtState.SHUTDOWN:
            return Finding(HealthStatus.STOPPED, "the RT process was stopped in order")
        age_s = max(0, now_ns - view.heartbeat_ns) / 1e9
        policy = self._context.config.current.failover_policy.rt_process
        remedy = (
            "its supervisor (systemd or mxrc up) restarts it, else start mxrc-rt"
            if age_s < policy.restart_window_sec
            else "nothing has come in its place: see `systemctl status mxrc-rt`, then "
            "`mxrc reset`, or start mxrc-rt"
        )
        return Finding(
            HealthStatus.UNHEALTHY,
            f"the RT process (pid {view.pid or 'unknown'}) is gone, last cycle {age_s:.1f} s ago: "
            f"{remedy}",
        )

    def heartbeat(self, now_ns: int) -> Finding:
        view = self.view()
        if view is None or not view.alive or not view.heartbeat_ns:
            return HEALTHY
        limit_ms = self._context.config.current.failover_policy.rt_process.health_check_timeout_ms
        # Our own lateness is not RT's: the age is taken from when our heart beat last.
        now_ns = min(now_ns, self._context.heart.last_beat_ns)
        age_ms = (now_ns - view.heartbeat_ns) / 1e6
        if age_ms <= limit_ms:
            return HEALTHY
        return Finding(
            HealthStatus.UNHEALTHY,
            f"the last cycle is {age_ms:.0f} ms old (limit {limit_ms} ms): the RT thread (pid "
            f"{view.pid}) is stopped or starved; see its CPU {view.cpu}",
        )

    def state(self, _now_ns: int) -> Finding:
        view = self.view()
        if view is None or not view.alive:
            return HEALTHY
        if view.state == RtState.INIT:
            return Finding(HealthStatus.STARTING, "RT state INIT: schedule and tasks are loading")
        if view.state == RtState.SHUTDOWN:
            return Finding(HealthStatus.STOPPING, "RT state SHUTDOWN")
        if view.state == RtState.ERROR:
            return Finding(
                HealthStatus.UNHEALTHY,
                "RT state ERROR: see rt_process.log, then POST /api/v1/rt/reset",
            )
        if view.state == RtState.SAFE_MODE:
            cause = _CAUSES.get(view.safe_cause, name_of(SafeCause, view.safe_cause))
            remedy = (
                "it ends by itself once the heartbeat is steady"
                if view.safe_cause == SafeCause.HEARTBEAT
                else "when that is put right: `mxrc rt safe-mode-exit`"
            )
            return Finding(
                HealthStatus.DEGRADED,
                f"RT state SAFE_MODE: {cause}; {remedy}, then `mxrc rt resume`",
            )
        return HEALTHY

    def deadlines(self, _now_ns: int) -> Finding:
        view = self.view()
        if view is None:
            return HEALTHY
        policy = self._context.config.current.failover_policy.rt_process
        rate = view.miss_rate
        for limit, status in (
            (policy.unhealthy_miss_rate, HealthStatus.UNHEALTHY),
            (policy.degraded_miss_rate, HealthStatus.DEGRADED),
        ):
            if rate > limit:
                return Finding(
                    status,
                    f"deadline-miss rate {rate:.4%} over the last {view.window_slots} slots is "
                    f"above {limit:.4%}: see `mxrc doctor` for what disturbs the RT thread",
                )
        return HEALTHY

    def placement(self, _now_ns: int) -> Finding:
        view = self.view()
        if view is None or not view.alive or not view.degraded:
            return HEALTHY
        fixes = view.document.get("placement_fix")
        fixes = fixes if isinstance(fixes, list) else []
        reasons = [
            f"{what}: {fixes[index]}" if index < len(fixes) and fixes[index] else what
            for index, what in enumerate(view.degraded)
        ]
        return Finding(HealthStatus.DEGRADED, "; ".join(reasons))
