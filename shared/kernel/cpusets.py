"""The cpuset that a process is in, of cgroup v1 or v2, and whether it isolates its CPUs.

v2: a partition ("root" or "isolated" in cpuset.cpus.partition, cgroup-v2.rst). v1: a cpuset with
cpu_exclusive whose ancestors do not balance load (cpusets(7)); only then it is a scheduling domain
of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.kernel.files import KernelFiles

PARTITIONS: Final = ("root", "isolated")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where cpusets of a cgroup version are mounted."""

    version: int
    mount: Path


@dataclass(frozen=True, slots=True)
class Cpuset:
    """The cpuset in force for a process.

    name: path in its hierarchy, "/" for the root. cpus: that it may use. isolates: those CPUs are a
    scheduling domain of its own. why_not: what keeps it from isolating; "" when it does.
    """

    version: int
    name: str
    cpus: frozenset[int]
    isolates: bool
    why_not: str = ""


def hierarchies(files: KernelFiles) -> list[Hierarchy]:
    """Mounted hierarchies that have the cpuset controller, v1 first where both are mounted."""
    found = []
    for line in (files.text("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        fields, options = before.split(), after.split()
        if len(fields) < 5 or len(options) < 3:
            continue
        mount = Path(fields[4])
        if options[0] == "cgroup" and "cpuset" in options[2].split(","):
            found.append(Hierarchy(1, mount))
        elif options[0] == "cgroup2":
            controllers = (files.text(mount / "cgroup.controllers") or "").split()
            if "cpuset" in controllers:
                found.append(Hierarchy(2, mount))
    return sorted(found, key=lambda one: one.version)


def own_cpuset(files: KernelFiles, pid: int | str = "self") -> Cpuset | None:
    """None where the kernel has no cpusets, or does not say."""
    names = _names(files, pid)
    for hierarchy in hierarchies(files):
        name = names.get(hierarchy.version)
        if name is not None:
            read = _read_v1 if hierarchy.version == 1 else _read_v2
            return read(files, hierarchy.mount, name)
    return None


def _names(files: KernelFiles, pid: int | str) -> dict[int, str]:
    """Path in the hierarchy by cgroup version."""
    names = {}
    for line in (files.text(f"/proc/{pid}/cgroup") or "").splitlines():
        number, controllers, name = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            names[2] = name
        elif "cpuset" in controllers.split(","):
            names[1] = name
    return names


def _with_ancestors(mount: Path, name: str) -> list[Path]:
    """The group and those above it, the root of the hierarchy last."""
    group = mount / name.strip("/")
    return [one for one in (group, *group.parents) if one == mount or mount in one.parents]


def _shown(mount: Path, group: Path) -> str:
    return "/" + str(group.relative_to(mount)).lstrip(".")


def _read_v2(files: KernelFiles, mount: Path, name: str) -> Cpuset:
    groups = _with_ancestors(mount, name)
    why_not = "it is in no cpuset partition"
    for group in groups[:-1]:
        kind = files.text(group / "cpuset.cpus.partition") or "member"
        if kind in PARTITIONS:
            cpus = files.cpus(group / "cpuset.cpus.effective")
            return Cpuset(2, _shown(mount, group), cpus, isolates=True)
        if kind != "member":
            why_not = f"the partition of {_shown(mount, group)} is not valid: {kind}"
            break
    cpus = next(
        (found for one in groups if (found := files.cpus(one / "cpuset.cpus.effective"))),
        frozenset[int](),
    )
    return Cpuset(2, _shown(mount, groups[0]), cpus, isolates=False, why_not=why_not)


def _read_v1(files: KernelFiles, mount: Path, name: str) -> Cpuset:
    groups = _with_ancestors(mount, name)
    for index, group in enumerate(groups[:-1]):
        if files.number(group / "cpuset.cpu_exclusive") != 1:
            continue
        cpus = files.cpus(group / "cpuset.effective_cpus") or files.cpus(group / "cpuset.cpus")
        balancing = [
            _shown(mount, one)
            for one in groups[index + 1 :]
            if files.number(one / "cpuset.sched_load_balance") != 0
        ]
        why_not = ""
        if balancing:
            why_not = f"sched_load_balance is on in the cpuset {balancing[0]} above it"
        return Cpuset(1, _shown(mount, group), cpus, isolates=not balancing, why_not=why_not)
    own = groups[0]
    cpus = files.cpus(own / "cpuset.effective_cpus") or files.cpus(own / "cpuset.cpus")
    return Cpuset(
        1, _shown(mount, own), cpus, isolates=False, why_not="it is in no exclusive cpuset"
    )
