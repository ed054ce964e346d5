"""What a check says, and what the checks look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from shared.config import Config
from shared.config.machine import LinuxMachine, Machine, format_cpu_list, rt_cpus
from shared.kernel.files import KernelFiles
from shared.kernel.isolation import Isolation, read_isolation


class Verdict(IntEnum):
    """Also the exit status that the worst of all findings gives."""

    OK = 0
    WARNING = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """group, check: where it belongs. what: one line. fix: what to do; "" when there is nothing."""

    group: str
    check: str
    verdict: Verdict
    what: str
    fix: str = ""


@dataclass(frozen=True)
class Subject:
    """The machine and the configuration that it is to carry.

    instance: member document of the running PRIMARY, {} when none runs. rt_pid: its process.
    missed_slots: of the last `window_slots` slots of its time grid.
    """

    config: Config
    files: KernelFiles = field(default_factory=KernelFiles)
    machine: Machine = field(default_factory=LinuxMachine)
    instance: dict[str, Any] = field(default_factory=dict)
    rt_pid: int | None = None
    missed_slots: int = 0
    window_slots: int = 0

    @property
    def cpus(self) -> tuple[int, ...]:
        """CPUs of the RT thread: in force when it runs, else as configured."""
        in_force = self.instance.get("placement", {}).get("in_force", {}).get("cpu_cores")
        if in_force:
            return tuple(in_force)
        return rt_cpus(self.config.cpu_affinity, self.machine)

    @property
    def shown_cpus(self) -> str:
        """As a list of the kernel."""
        return format_cpu_list(frozenset(self.cpus))

    def isolation(self) -> Isolation:
        """Of the running RT process, else of this one."""
        return read_isolation(self.files, self.rt_pid or "self")


class Group:
    """Makes the findings of one group."""

    def __init__(self, name: str) -> None:
        self._name = name

    def ok(self, check: str, what: str) -> Finding:
        """As it should be."""
        return Finding(self._name, check, Verdict.OK, what)

    def warn(self, check: str, what: str, fix: str) -> Finding:
        """Costs latency, or will one day."""
        return Finding(self._name, check, Verdict.WARNING, what, fix)

    def bad(self, check: str, what: str, fix: str) -> Finding:
        """Real time will not hold."""
        return Finding(self._name, check, Verdict.BAD, what, fix)
