"""How far CPUs are kept free of other work: what the kernel does, not what was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.config.machine import format_cpu_list, parse_cpu_list
from shared.config.models.cpu_affinity import IsolationMode
from shared.kernel.cpusets import Cpuset, own_cpuset
from shared.kernel.files import KernelFiles
from shared.kernel.interrupts import Interrupt
from shared.reasons import Reason

_MODES: dict[tuple[bool, bool], IsolationMode] = {
    (True, True): "HYBRID",
    (True, False): "ISOLCPUS",
    (False, True): "CGROUPS",
    (False, False): "NONE",
}


@dataclass(frozen=True, slots=True)
class Isolation:
    """Of the machine and of one process.

    isolated: not load-balanced since boot. nohz_full: no tick while one thread runs. rcu_nocbs: RCU
    callbacks run elsewhere. cpuset: of the process.
    """

    isolated: frozenset[int] = frozenset()
    nohz_full: frozenset[int] = frozenset()
    rcu_nocbs: frozenset[int] = frozenset()
    cpuset: Cpuset | None = None

    def by_boot(self, cpus: Iterable[int]) -> bool:
        """Whether all of `cpus` are isolated since boot."""
        return self.isolated.issuperset(cpus)

    def by_cpuset(self, cpus: Iterable[int]) -> bool:
        """Whether all of `cpus` are in a cpuset of the process that isolates them."""
        return (
            self.cpuset is not None and self.cpuset.isolates and self.cpuset.cpus.issuperset(cpus)
        )

    def mode(self, cpus: Iterable[int]) -> IsolationMode:
        """The isolation mode in force for `cpus`, of which there is at least one."""
        wanted = frozenset(cpus)
        return _MODES[self.by_boot(wanted), self.by_cpuset(wanted)]


def read_isolation(files: KernelFiles, pid: int | str = "self") -> Isolation:
    """As it is now for a process."""
    return Isolation(
        isolated=files.cpus("/sys/devices/system/cpu/isolated"),
        nohz_full=files.cpus("/sys/devices/system/cpu/nohz_full"),
        rcu_nocbs=_boot_list(files, "rcu_nocbs"),
        cpuset=own_cpuset(files, pid),
    )


def _boot_list(files: KernelFiles, parameter: str) -> frozenset[int]:
    text = files.boot_parameters().get(parameter, "")
    try:
        return parse_cpu_list(text)
    except ValueError:
        return frozenset()


def isolation_document(
    isolation: Isolation, cpus: Iterable[int], interrupts: Iterable[Interrupt]
) -> dict[str, Any]:
    """As JSON: what is in force for `cpus`."""
    wanted = frozenset(cpus)
    cpuset = isolation.cpuset
    return {
        "isolated_cpus": format_cpu_list(isolation.isolated),
        "nohz_full": isolation.nohz_full.issuperset(wanted),
        "rcu_nocbs": isolation.rcu_nocbs.issuperset(wanted),
        "cpuset": None
        if cpuset is None
        else {
            "cgroup_version": cpuset.version,
            "name": cpuset.name,
            "cpus": format_cpu_list(cpuset.cpus),
            "isolates": cpuset.isolates,
        },
        "interrupts": [f"{one.number} {one.name}"[:48] for one in interrupts][:16],
    }


def isolation_reasons(
    mode: IsolationMode, cpus: tuple[int, ...], isolation: Isolation
) -> list[Reason]:
    """One per kind of isolation that `mode` asks for and that `cpus` do not have."""
    shown = format_cpu_list(frozenset(cpus))
    in_force = isolation.mode(cpus)
    reasons = []
    if mode in ("ISOLCPUS", "HYBRID") and not isolation.by_boot(cpus):
        reasons.append(
            Reason(
                f"CPU {shown} is not isolated (isolation in force: {in_force})",
                f"boot with isolcpus={shown} nohz_full={shown} rcu_nocbs={shown}, "
                "or set isolation_mode NONE",
            )
        )
    if mode in ("CGROUPS", "HYBRID") and not isolation.by_cpuset(cpus):
        reasons.append(
            Reason(
                f"CPU {shown} is not in a cpuset of this process that isolates it "
                f"({_why(cpus, isolation)}; isolation in force: {in_force})",
                "under systemd `mxrc systemd install`, by hand as root `mxrc cpuset create` and "
                "`mxrc cpuset exec`, or set isolation_mode NONE",
            )
        )
    return reasons


def _why(cpus: tuple[int, ...], isolation: Isolation) -> str:
    cpuset = isolation.cpuset
    if cpuset is None:
        return "this kernel has no cpusets"
    if not cpuset.isolates:
        return cpuset.why_not
    missing = frozenset(cpus) - cpuset.cpus
    return f"{cpuset.name} does not have CPU {format_cpu_list(missing)}"
