"""What the configuration is checked against: the CPUs and NUMA nodes of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from shared.config.models.cpu_affinity import CpuAffinityConfig

_CPU_DIRECTORY = Path("devices/system/cpu")
_NODE_DIRECTORY = Path("devices/system/node")


class Machine(Protocol):
    """CPUs and NUMA nodes by number."""

    def online_cpus(self) -> frozenset[int]:
        """CPUs that are online."""

    def isolated_cpus(self) -> frozenset[int]:
        """CPUs that the kernel keeps out of load balancing (isolcpus=, isolated partitions)."""

    def numa_nodes(self) -> dict[int, frozenset[int]]:
        """Each online NUMA node and its CPUs; without NUMA node 0 has all of them."""


class LinuxMachine:
    """This machine, from sysfs."""

    def __init__(self, sysfs: Path = Path("/sys")) -> None:
        self._sysfs = sysfs

    def online_cpus(self) -> frozenset[int]:
        return self._list(_CPU_DIRECTORY / "online")

    def isolated_cpus(self) -> frozenset[int]:
        return self._list(_CPU_DIRECTORY / "isolated") & self.online_cpus()

    def numa_nodes(self) -> dict[int, frozenset[int]]:
        nodes = self._list(_NODE_DIRECTORY / "online")
        if not nodes:
            return {0: self.online_cpus()}
        return {node: self._list(_NODE_DIRECTORY / f"node{node}" / "cpulist") for node in nodes}

    def _list(self, path: Path) -> frozenset[int]:
        try:
            return parse_cpu_list((self._sysfs / path).read_text(encoding="ascii"))
        except OSError:
            return frozenset()


def parse_cpu_list(text: str) -> frozenset[int]:
    """The kernel's list format, `0-3,8,10-11` (cpuset(7)), as a set.

    Raises:
        ValueError: not in that format.
    """
    numbers: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def format_cpu_list(cpus: frozenset[int]) -> str:
    """A set of CPUs in the kernel's list format; "none" when empty."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges) or "none"


def rt_cpus(config: CpuAffinityConfig, machine: Machine) -> tuple[int, ...]:
    """CPUs of the RT process; auto: the isolated ones, else the highest-numbered online one."""
    cores = config.rt_process.cpu_cores
    if cores != "auto":
        return cores
    return tuple(sorted(machine.isolated_cpus() or {max(machine.online_cpus(), default=0)}))


def non_rt_cpus(config: CpuAffinityConfig, machine: Machine) -> tuple[int, ...]:
    """CPUs of the Non-RT process; auto: those online that RT is not on, else all online ones.

    On an isolated CPU it would compete with the RT thread, so that auto keeps it away from there.
    """
    cores = config.non_rt_process.cpu_cores
    if cores != "auto":
        return cores
    online = machine.online_cpus()
    kept_free = machine.isolated_cpus() | set(rt_cpus(config, machine))
    return tuple(sorted((online - kept_free) or online))
