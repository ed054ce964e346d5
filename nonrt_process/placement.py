"""Where this process runs: off the CPUs of the RT thread, with the configured scheduling.

What cannot be had does not stop the process; its health says DEGRADED, why, and how to get it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from nonrt_process.context import Context
from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, ProcessName
from nonrt_process.plugins import Plugin
from shared.config.machine import LinuxMachine, Machine, format_cpu_list, non_rt_cpus
from shared.config.models.cpu_affinity import CpuAffinityConfig

_POLICIES = {
    "SCHED_OTHER": os.SCHED_OTHER,
    "SCHED_FIFO": os.SCHED_FIFO,
    "SCHED_RR": os.SCHED_RR,
}


class Kernel(Protocol):
    """The system calls, so that a test can refuse them; 0 is the calling thread."""

    def threads(self) -> list[int]: ...

    def allowed(self) -> set[int]: ...

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None: ...

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None: ...


class LinuxKernel:
    """Kernel of this machine."""

    def threads(self) -> list[int]:
        return [int(path.name) for path in Path("/proc/self/task").iterdir()]

    def allowed(self) -> set[int]:
        return os.sched_getaffinity(0)

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None:
        os.sched_setaffinity(thread, cpus)

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None:
        os.sched_setscheduler(thread, policy, os.sched_param(priority))


class PlacementPlugin(Plugin):
    """Places all threads at the start, and again when the configuration changes."""

    name = "placement"
    process: ProcessName = "non_rt_process"

    def __init__(
        self, context: Context, machine: Machine | None = None, kernel: Kernel | None = None
    ) -> None:
        super().__init__("placement", health_checks=[self])
        self._log = context.log.getChild("placement")
        self._context = context
        self._machine = machine or LinuxMachine()
        self._kernel = kernel or LinuxKernel()
        self._allowed = self._kernel.allowed()
        self._problems: list[str] = []
        context.config.subscribe("cpu_affinity", commit=lambda _old, new: self.apply(new))

    def start(self) -> None:
        self.apply(self._context.config.current.cpu_affinity)

    def apply(self, config: CpuAffinityConfig) -> None:
        """Place every thread; later ones inherit it from those that make them."""
        own = config.non_rt_process
        wanted = set(non_rt_cpus(config, self._machine))
        if own.cpu_cores == "auto":  # a container sees all CPUs and may use some
            wanted = (wanted & self._allowed) or self._allowed
        problems = []
        shown = format_cpu_list(frozenset(wanted))
        error = self._each(lambda thread: self._kernel.set_affinity(thread, wanted))
        if error is not None:
            problems.append(
                f"cannot run on CPU {shown} ({error}): set cpu_cores to CPUs it may use"
            )
        policy = _POLICIES.get(own.policy)
        if policy is None:
            problems.append(f"{own.policy} is not for this process: set policy SCHED_OTHER")
        else:
            number = policy
            error = self._each(
                lambda thread: self._kernel.set_scheduler(thread, number, own.priority)
            )
            if error is not None:
                problems.append(
                    f"no right to {own.policy} {own.priority} ({error}): grant CAP_SYS_NICE or "
                    "LimitRTPRIO, or set policy SCHED_OTHER"
                )
        self._problems = [f"Non-RT process: {problem}" for problem in problems]
        for problem in self._problems:
            self._log.warning("%s", problem)
        self._log.info("Placed on CPU %s, %s", shown, own.policy)

    def check(self, _now_ns: int) -> Finding:
        """DEGRADED while it is not placed as configured."""
        if not self._problems:
            return HEALTHY
        return Finding(HealthStatus.DEGRADED, "; ".join(self._problems))

    def _each(self, call: Callable[[int], None]) -> str | None:
        """Do it for every thread; why it was refused for one."""
        refused = None
        for thread in self._kernel.threads():
            try:
                call(thread)
            except ProcessLookupError:
                continue  # it has ended meanwhile
            except OSError as error:
                refused = error.strerror or str(error)
        return refused


def create(context: Context) -> Plugin:
    """See nonrt_process.plugins."""
    return PlacementPlugin(context)
