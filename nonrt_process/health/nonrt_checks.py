"""Checks of this process: its life, its heart, its pumps, what they lost."""

from __future__ import annotations

import threading
from collections import deque

from nonrt_process.context import Context
from nonrt_process.health.registry import SimpleCheck
from nonrt_process.interfaces import (
    HEALTHY,
    ConsumerMonitor,
    Finding,
    HealthCheck,
    HealthStatus,
    Lifecycle,
)

LATE_NS = 200_000_000
LOSS_WINDOW_NS = 60_000_000_000


class NonRtChecks:
    """Makes the checks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._losses: dict[str, deque[tuple[int, int]]] = {}

    def all(self) -> list[HealthCheck]:
        """In the order in which a person would ask."""
        functions = {
            "lifecycle": self.lifecycle,
            "instance": self.instance,
            "heart": self.heart,
            "consumers": self.consumers,
            "losses": self.losses,
        }
        return [SimpleCheck(name, "non_rt_process", check) for name, check in functions.items()]

    def lifecycle(self, _now_ns: int) -> Finding:
        if self._context.stopping.is_set():
            return Finding(HealthStatus.STOPPING, "the process is stopping")
        life = self._context.get(Lifecycle)
        if life is not None and not life.started():
            return Finding(HealthStatus.STARTING, "the process is starting")
        return HEALTHY

    def instance(self, _now_ns: int) -> Finding:
        problem = self._context.heart.problem
        if problem is not None and problem.kind == "taken":
            return Finding(HealthStatus.UNHEALTHY, problem.message)
        return HEALTHY

    def heart(self, now_ns: int) -> Finding:
        age_ns = now_ns - self._context.heart.last_beat_ns
        if age_ns <= LATE_NS:
            return HEALTHY
        return Finding(
            HealthStatus.UNHEALTHY,
            f"the last heartbeat is {age_ns / 1e6:.0f} ms old: this process does not get its CPU",
        )

    def consumers(self, _now_ns: int) -> Finding:
        monitor = self._context.get(ConsumerMonitor)
        dead = [one.name for one in monitor.consumers() if not one.alive] if monitor else []
        if not dead or self._context.stopping.is_set() or not self._started():
            return HEALTHY
        names = ", ".join(dead)
        return Finding(
            HealthStatus.UNHEALTHY, f"consumer threads ended: {names}; restart mxrc-nonrt"
        )

    def losses(self, now_ns: int) -> Finding:
        """DEGRADED for a minute after a consumer lost records or gave a batch up."""
        monitor = self._context.get(ConsumerMonitor)
        if monitor is None:
            return HEALTHY
        found = []
        with self._lock:
            for one in monitor.consumers():
                total = one.lost_events + one.lost_cycles
                history = self._losses.setdefault(one.name, deque(maxlen=600))
                if history and total < history[-1][1]:
                    history.clear()  # a new generation counts from zero
                if not history or total != history[-1][1]:
                    history.append((now_ns, total))
                while len(history) > 1 and now_ns - history[1][0] > LOSS_WINDOW_NS:
                    history.popleft()
                lost = history[-1][1] - history[0][1]
                if lost and now_ns - history[-1][0] <= LOSS_WINDOW_NS:
                    found.append(f"consumer {one.name} lost {lost} records in the last minute")
        if not found:
            return HEALTHY
        return Finding(
            HealthStatus.DEGRADED,
            "; ".join(found) + ": the machine is too busy, or enlarge the rings in instance.json",
        )

    def _started(self) -> bool:
        life = self._context.get(Lifecycle)
        return life is not None and life.started()
