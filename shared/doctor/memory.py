"""Memory: huge pages, swap, NUMA, room for the segment."""

from __future__ import annotations

import os
from collections.abc import Iterable

from shared.config.machine import format_cpu_list
from shared.doctor.finding import Finding, Group, Subject
from shared.numa.libnuma import LibNuma, NumaUnavailableError

_GROUP = Group("memory")
_MIB = 1 << 20
_SHM = "/dev/shm"  # noqa: S108  the mount point
# The segment with the largest rings of config/production, and as much again for a new generation.
SHM_NEEDED = 128 * _MIB


def checks(subject: Subject) -> Iterable[Finding]:
    """What makes a page slow to reach."""
    yield _huge_pages(subject)
    yield _swap(subject)
    yield from _numa(subject)
    yield _numa_balancing(subject)
    yield from _shm(subject)


def _huge_pages(subject: Subject) -> Finding:
    text = subject.files.text("/sys/kernel/mm/transparent_hugepage/enabled")
    if text is None or "[never]" in text or "[madvise]" in text:
        return _GROUP.ok("transparent huge pages", text or "not in this kernel")
    return _GROUP.warn(
        "transparent huge pages",
        f"{text}: the kernel merges pages behind the program's back, which stalls it",
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, or boot with "
        "transparent_hugepage=madvise",
    )


def _swap(subject: Subject) -> Finding:
    lines = (subject.files.text("/proc/swaps") or "").splitlines()[1:]
    if not lines:
        return _GROUP.ok("swap", "none")
    name = lines[0].split()[0]
    return _GROUP.warn(
        "swap",
        f"{name} is in use: memory that is not locked can be written out",
        "swapoff -a and remove it from /etc/fstab, or let mxrc-rt lock all memory",
    )


def _numa(subject: Subject) -> Iterable[Finding]:
    nodes = subject.machine.numa_nodes()
    binding = subject.config.numa_binding.rt_process
    wanted = f"{binding.memory_policy} on node {binding.numa_node}"
    own = {node for node, cpus in nodes.items() if cpus.intersection(subject.cpus)}
    shown = format_cpu_list(frozenset(own))
    try:
        LibNuma()
    except NumaUnavailableError as error:
        make = _GROUP.bad if binding.strict_binding else _GROUP.warn
        if len(nodes) > 1 or binding.strict_binding:
            yield make("numa", f"configured {wanted}, but {error.what}", error.fix)
        else:
            yield _GROUP.ok("numa", f"one node; {error.what}")
        return
    if binding.memory_policy in ("BIND", "PREFERRED") and binding.numa_node not in own:
        yield _GROUP.warn(
            "numa",
            f"configured {wanted}, and CPU {subject.shown_cpus} is on node {shown}: every access "
            "is remote",
            f"numa_binding.json: numa_node {shown}",
        )
    elif len(own) > 1:
        yield _GROUP.warn(
            "numa",
            f"CPU {subject.shown_cpus} is on nodes {shown}: no memory is near to all of them",
            "name CPUs of one node in cpu_cores",
        )
    else:
        many = "one node" if len(nodes) == 1 else f"{len(nodes)} nodes"
        yield _GROUP.ok("numa", f"{many}, configured {wanted}, CPU on node {shown}")


def _numa_balancing(subject: Subject) -> Finding:
    if not subject.files.number("/proc/sys/kernel/numa_balancing"):
        return _GROUP.ok("numa balancing", "off")
    return _GROUP.warn(
        "numa balancing",
        "the kernel unmaps pages to see who uses them, which faults in the cycle",
        "sysctl -w kernel.numa_balancing=0",
    )


def _shm(subject: Subject) -> Iterable[Finding]:
    try:
        state = os.statvfs(subject.files.path(_SHM))
    except OSError:
        yield _GROUP.bad(
            "shared memory", f"{_SHM} is not there", f"mount -t tmpfs -o mode=1777 tmpfs {_SHM}"
        )
        return
    free, size = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    what = f"{_SHM}: {free // _MIB} of {size // _MIB} MiB free"
    if free < SHM_NEEDED and not subject.instance:
        yield _GROUP.warn(
            "shared memory",
            what,
            f"mount -o remount,size=256M {_SHM} (docker run --shm-size=256m), or fewer ring slots "
            "in instance.json",
        )
    else:
        yield _GROUP.ok("shared memory", what)
