"""Where this process runs: off the CPUs of the RT thread, with the configured scheduling.

What cannot be had stops the start of an exclusive process. Any other one goes on, and its health
says DEGRADED, why, and how to get it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from nonrt_process.context import Context
from nonrt_process.interfaces import HEALTHY, CpuPlacement, Finding, HealthStatus, ProcessName
from nonrt_process.plugins import Plugin
from shared.config import ConfigError
from shared.config.errors import Problem
from shared.config.machine import LinuxMachine, Machine, format_cpu_list, non_rt_cpus
from shared.config.models.cpu_affinity import (
    CpuAffinityConfig,
    IsolationMode,
    ProcessAffinity,
    ThreadPlacement,
)
from shared.kernel.files import KernelFiles
from shared.kernel.isolation import Isolation, isolation_reasons, read_isolation
from shared.reasons import Reason, refuse_if_exclusive

_POLICIES = {
    "SCHED_OTHER": os.SCHED_OTHER,
    "SCHED_FIFO": os.SCHED_FIFO,
    "SCHED_RR": os.SCHED_RR,
}
NAME_LENGTH: Final = 15
_WHERE: Final = "$.non_rt_process"


class Kernel(Protocol):
    """The system calls, so that a test can refuse them; 0 is the calling thread."""

    def threads(self) -> list[int]: ...

    def names(self) -> Mapping[str, Sequence[int]]:
        """Threads by name, as the logs show it."""

    def allowed(self) -> set[int]: ...

    def isolation(self) -> Isolation: ...

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None: ...

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None: ...


class LinuxKernel:
    """Kernel of this machine."""

    def threads(self) -> list[int]:
        return [int(path.name) for path in Path("/proc/self/task").iterdir()]

    def names(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for thread in threading.enumerate():
            if thread.native_id is not None:
                found.setdefault(thread.name[:NAME_LENGTH], []).append(thread.native_id)
        return found

    def isolation(self) -> Isolation:
        return read_isolation(KernelFiles())

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
        self._reasons: list[Reason] = []
        self._all_threads = False
        self._isolation: IsolationMode = "NONE"
        self._in_force: dict[str, Any] = {}
        context.provide(CpuPlacement, self)
        context.config.subscribe(
            "cpu_affinity",
            prepare=self._prepare,
            commit=lambda _old, new: self._say(new),
            rollback=lambda old, _new: self._put(old),
        )

    @property
    def isolation(self) -> IsolationMode:
        return self._isolation

    def document(self) -> dict[str, Any]:
        """What is in force, as JSON."""
        return dict(self._in_force)

    def start(self) -> None:
        """Raises Refused: it is exclusive and something is not to be had."""
        # ps goes on showing the program's name there.
        threading.main_thread().name = self._config.non_rt_process.thread_name
        self._put_at_start()

    def all_started(self) -> None:
        """Each thread that the configuration may name is there now. Raises Refused like start."""
        self._all_threads = True
        if self._config.non_rt_process.threads:
            self._put_at_start()

    @property
    def _config(self) -> CpuAffinityConfig:
        return self._context.config.current.cpu_affinity

    def _put_at_start(self) -> None:
        self._put(self._config)
        exclusive = self._config.non_rt_process.is_exclusive
        refuse_if_exclusive(exclusive, self._reasons, f"cpu_affinity.json: {_WHERE}")
        self._say(self._config)

    def check(self, _now_ns: int) -> Finding:
        """DEGRADED while it is not placed as configured."""
        if not self._reasons:
            return HEALTHY
        return Finding(
            HealthStatus.DEGRADED, "; ".join(f"Non-RT process: {one}" for one in self._reasons)
        )

    def _prepare(self, old: CpuAffinityConfig, new: CpuAffinityConfig) -> None:
        """Raises ConfigError; everything is as before then."""
        self._put(new)
        if not new.non_rt_process.is_exclusive or not self._reasons:
            return
        file = str(self._context.config.current.directory / "cpu_affinity.json")
        problems = [
            Problem(file, _WHERE, "", f"is_exclusive is true, and {reason}")
            for reason in self._reasons
        ]
        self._put(old)
        raise ConfigError(problems)

    def _say(self, config: CpuAffinityConfig) -> None:
        for reason in self._reasons:
            self._log.warning("Non-RT process: %s", reason)
        shown = format_cpu_list(frozenset(self._in_force["cpu_cores"]))
        self._log.info("Placed on CPU %s, %s", shown, config.non_rt_process.policy)

    def _put(self, config: CpuAffinityConfig) -> None:
        """Place every thread; later ones inherit it from those that make them."""
        own = config.non_rt_process
        wanted = set(non_rt_cpus(config, self._machine))
        if own.cpu_cores == "auto":  # a container sees all CPUs and may use some
            wanted = (wanted & self._allowed) or self._allowed
        reasons: list[Reason] = []
        cpus = self._place(self._kernel.threads(), own, wanted, reasons)
        isolation = replace(self._kernel.isolation(), isolated=self._machine.isolated_cpus())
        reasons += isolation_reasons(own.isolation_mode, cpus, isolation)
        if self._all_threads:
            self._place_named(own, wanted, reasons)
        self._reasons = reasons
        self._isolation = isolation.mode(cpus)
        self._in_force = {"cpu_cores": list(cpus), "isolation_mode": self._isolation}

    def _place_named(self, own: ProcessAffinity, wanted: set[int], reasons: list[Reason]) -> None:
        names = self._kernel.names()
        for thread in own.threads:
            name = thread.thread_name
            if name not in names:
                there = ", ".join(sorted(names))
                reasons.append(
                    Reason(
                        f"it has no thread named {name}",
                        f"remove it from {_WHERE}.threads, or name one of {there}",
                    )
                )
                continue
            cpus = wanted if thread.cpu_cores == "auto" else set(thread.cpu_cores)
            found: list[Reason] = []
            self._place(names[name], thread, cpus, found)
            reasons += (replace(one, what=f"thread {name}: {one.what}") for one in found)

    def _place(
        self,
        threads: Iterable[int],
        placement: ThreadPlacement,
        wanted: set[int],
        reasons: list[Reason],
    ) -> tuple[int, ...]:
        """CPUs that they are on."""
        threads = tuple(threads)
        shown = format_cpu_list(frozenset(wanted))
        refused = self._each(threads, lambda thread: self._kernel.set_affinity(thread, wanted))
        if refused is not None:
            what = f"cannot run on CPU {shown} ({refused})"
            reasons.append(Reason(what, "set cpu_cores to CPUs it may use"))
        policy = _POLICIES.get(placement.policy)
        if policy is None:
            what = f"{placement.policy} is not for this process"
            reasons.append(Reason(what, "set policy SCHED_OTHER"))
        else:
            number, priority = policy, placement.priority
            error = self._each(
                threads, lambda thread: self._kernel.set_scheduler(thread, number, priority)
            )
            if error is not None:
                reasons.append(
                    Reason(
                        f"no right to {placement.policy} {priority} ({error})",
                        "grant CAP_SYS_NICE or LimitRTPRIO, or set policy SCHED_OTHER",
                    )
                )
        return tuple(sorted(wanted if refused is None else self._allowed))

    @staticmethod
    def _each(threads: Iterable[int], call: Callable[[int], None]) -> str | None:
        """Do it for every one; why it was refused for one."""
        refused = None
        for thread in threads:
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
