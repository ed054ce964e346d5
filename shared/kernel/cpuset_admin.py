"""Making and removing a cpuset by hand, as root: a partition (v2) or an exclusive cpuset (v1).

The processes of mxrc only verify; this is for machines without systemd, and for trying.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.config.machine import format_cpu_list
from shared.core import MxrcError
from shared.kernel.cpusets import Hierarchy, hierarchies
from shared.kernel.files import KernelFiles

DEFAULT_NAME: Final = "mxrc-rt"


class CpusetError(MxrcError):
    """One line: what the kernel refused, and what to do."""


def _hierarchy(files: KernelFiles) -> Hierarchy:
    found = hierarchies(files)
    if not found:
        raise CpusetError("this kernel has no cpusets, or no cgroup file system is mounted")
    return found[0]


def _write(files: KernelFiles, path: Path, value: str) -> None:
    try:
        files.path(path).write_text(value, encoding="ascii")
    except OSError as error:
        raise CpusetError(
            f"{path}: {value!r} refused: {error.strerror}: root is needed, and the CPUs must be in "
            "no other exclusive cpuset"
        ) from None


def create_cpuset(
    files: KernelFiles,
    cpus: frozenset[int],
    name: str = DEFAULT_NAME,
    partition: str = "isolated",
) -> str:
    """Make a cpuset that isolates `cpus`; returns what it is, for a person.

    v2: a partition "isolated" (no load balancing inside; "root" where the kernel does not know it)
    or "root" (a scheduling domain of its own, which SCHED_DEADLINE needs). v1: cpu_exclusive, and
    no load balancing in the root cpuset, without which it is no scheduling domain of its own.

    Raises:
        CpusetError: the kernel refused; what was made is removed again.
    """
    hierarchy = _hierarchy(files)
    group = hierarchy.mount / name
    if files.exists(group):
        raise CpusetError(f"{group} is there already: `mxrc cpuset remove` first")
    shown = format_cpu_list(cpus)
    if hierarchy.version == 2:
        _write(files, hierarchy.mount / "cgroup.subtree_control", "+cpuset")
    try:
        files.path(group).mkdir()
    except OSError as error:
        raise CpusetError(f"{group} cannot be made: {error.strerror}: as root") from None
    try:
        if hierarchy.version == 2:
            kinds = ("isolated", "root") if partition == "isolated" else ("root",)
            return _partition(files, hierarchy, group, shown, kinds)
        return _exclusive(files, hierarchy, group, shown)
    except CpusetError:
        files.path(group).rmdir()
        raise


def _partition(
    files: KernelFiles, hierarchy: Hierarchy, group: Path, shown: str, kinds: tuple[str, ...]
) -> str:
    mems = files.text(hierarchy.mount / "cpuset.mems.effective") or "0"
    _write(files, group / "cpuset.cpus", shown)
    _write(files, group / "cpuset.mems", mems)
    state = ""
    for kind in kinds:
        try:
            _write(files, group / "cpuset.cpus.partition", kind)
        except CpusetError:
            continue
        state = files.text(group / "cpuset.cpus.partition") or ""
        if state == kind:
            return f"{group}: cgroup v2 partition {kind}, CPU {shown}"
    raise CpusetError(f"{group} cannot be a partition ({state or 'refused'}): see cgroup-v2.rst")


def _exclusive(files: KernelFiles, hierarchy: Hierarchy, group: Path, shown: str) -> str:
    mems = files.text(hierarchy.mount / "cpuset.mems") or "0"
    _write(files, group / "cpuset.cpus", shown)
    _write(files, group / "cpuset.mems", mems)
    _write(files, group / "cpuset.cpu_exclusive", "1")
    _write(files, hierarchy.mount / "cpuset.sched_load_balance", "0")
    return (
        f"{group}: cgroup v1, exclusive, CPU {shown}; load balancing of the root cpuset is off: "
        "give the other CPUs a cpuset of their own to have it there"
    )


def remove_cpuset(files: KernelFiles, name: str = DEFAULT_NAME) -> str:
    """Take it away; processes in it go to the root cpuset. Raises CpusetError."""
    hierarchy = _hierarchy(files)
    group = hierarchy.mount / name
    if not files.exists(group):
        raise CpusetError(f"{group} is not there")
    tasks = "cgroup.procs"
    for pid in (files.text(group / tasks) or "").split():
        _write(files, hierarchy.mount / tasks, pid)
    if hierarchy.version == 1:
        _write(files, hierarchy.mount / "cpuset.sched_load_balance", "1")
    elif files.exists(group / "cpuset.cpus.partition"):
        _write(files, group / "cpuset.cpus.partition", "member")
    try:
        files.path(group).rmdir()
    except OSError as error:
        raise CpusetError(f"{group} cannot be removed: {error.strerror}") from None
    return f"{group} removed"


def enter_cpuset(files: KernelFiles, pid: int, name: str = DEFAULT_NAME) -> None:
    """Put a process in it. Raises CpusetError."""
    group = _hierarchy(files).mount / name
    if not files.exists(group):
        raise CpusetError(f"{group} is not there: `mxrc cpuset create` makes it")
    _write(files, group / "cgroup.procs", str(pid))
