"""The checks of both processes and their sum: one status each, with every reason."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nonrt_process.interfaces import (
    PROCESSES,
    Finding,
    HealthCheck,
    HealthReport,
    HealthStatus,
    ProcessName,
)

RANK = (
    HealthStatus.HEALTHY,
    HealthStatus.DEGRADED,
    HealthStatus.STARTING,
    HealthStatus.UNHEALTHY,
    HealthStatus.STOPPED,
    HealthStatus.STOPPING,
)
"""Of several findings the last in this order is the status."""

SERVING = frozenset({HealthStatus.HEALTHY, HealthStatus.DEGRADED})
"""Answered with 200."""

_LEVELS = {
    HealthStatus.HEALTHY: logging.INFO,
    HealthStatus.STARTING: logging.INFO,
    HealthStatus.UNHEALTHY: logging.ERROR,
}


@dataclass(frozen=True, slots=True)
class SimpleCheck:
    """A check made of a function of the time (CLOCK_MONOTONIC, ns)."""

    name: str
    process: ProcessName
    function: Callable[[int], Finding]

    def check(self, now_ns: int) -> Finding:
        return self.function(now_ns)


def combine(findings: Iterable[Finding]) -> tuple[HealthStatus, str]:
    """The worst status, and all reasons, worst first."""
    ordered = sorted(findings, key=lambda finding: RANK.index(finding.status), reverse=True)
    reasons = [finding.reason for finding in ordered if finding.status != HealthStatus.HEALTHY]
    status = ordered[0].status if ordered else HealthStatus.HEALTHY
    return status, "; ".join(dict.fromkeys(reasons))


class Registry:
    """HealthRegistry. Each change of a process's status is logged with its reasons."""

    def __init__(self, now_ns: Callable[[], int], log: logging.Logger) -> None:
        self._now_ns = now_ns
        self._log = log
        self._lock = threading.Lock()
        self._checks: dict[ProcessName, dict[str, HealthCheck]] = {name: {} for name in PROCESSES}
        start = now_ns()
        self._states: dict[ProcessName, tuple[HealthStatus, int]] = dict.fromkeys(
            PROCESSES, (HealthStatus.STARTING, start)
        )

    def register(self, check: HealthCheck) -> None:
        """A second check of the same process and name is a ValueError."""
        with self._lock:
            checks = self._checks[check.process]
            if check.name in checks:
                raise ValueError(f"health check {check.name} of {check.process} exists")
            checks[check.name] = check

    def report(self, process: ProcessName) -> HealthReport:
        now = self._now_ns()
        with self._lock:
            checks = list(self._checks[process].values())
        findings = {check.name: _run(check, now) for check in checks}
        status, message = combine(findings.values())
        with self._lock:
            before, since = self._states[process]
            if status != before:
                since = now
                self._states[process] = (status, now)
        if status != before:
            self._log.log(
                _LEVELS.get(status, logging.WARNING),
                "Health of %s: %s -> %s%s",
                process,
                before.name,
                status.name,
                f": {message}" if message else "",
            )
        return HealthReport(status, since, message, findings)


def _run(check: HealthCheck, now_ns: int) -> Finding:
    try:
        finding = check.check(now_ns)
    except Exception as error:  # noqa: BLE001 - a broken check is a finding, not an outage of health
        return Finding(HealthStatus.UNHEALTHY, f"health check {check.name} failed: {error!r}")
    if finding.status != HealthStatus.HEALTHY and not finding.reason:
        return finding._replace(reason=f"{check.name}: {finding.status.name.lower()}")
    return finding
