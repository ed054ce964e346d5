"""What placement asks of the kernel, behind a protocol so that tests can answer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

_RT_RUNTIME = Path("/proc/sys/kernel/sched_rt_runtime_us")
_RT_PERIOD = Path("/proc/sys/kernel/sched_rt_period_us")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


class System(Protocol):
    """Scheduling and CPUs of threads; `thread` 0 is the caller."""

    def allowed_cpus(self) -> frozenset[int]:
        """CPUs that this process may be put on."""

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None:
        """Raises OSError."""

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None:
        """Raises OSError."""

    def throttled(self) -> bool:
        """Whether the kernel takes the CPU from real-time threads that never sleep."""

    def cpuset_partition(self) -> frozenset[int]:
        """CPUs of the cpuset partition that this process is in; empty when it is in none."""


class LinuxSystem:
    """This kernel."""

    def __init__(self) -> None:
        # What the cpuset allows; a later set_affinity of this process must not count.
        self._allowed = frozenset(os.sched_getaffinity(0))

    def allowed_cpus(self) -> frozenset[int]:
        return self._allowed

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None:
        os.sched_setaffinity(thread, cpus)

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None:
        os.sched_setscheduler(thread, policy, os.sched_param(priority))

    def throttled(self) -> bool:
        runtime, period = _number(_RT_RUNTIME), _number(_RT_PERIOD)
        return runtime is not None and runtime >= 0 and (period is None or runtime < period)

    def cpuset_partition(self) -> frozenset[int]:
        from shared.config.machine import parse_cpu_list

        for group in _cgroup_path(Path("/proc/self/cgroup")):
            try:
                kind = (group / "cpuset.cpus.partition").read_text(encoding="ascii").strip()
                if kind in ("root", "isolated"):
                    text = (group / "cpuset.cpus.effective").read_text(encoding="ascii")
                    return parse_cpu_list(text)
            except (OSError, ValueError):
                continue
        return frozenset()


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _cgroup_path(file: Path) -> list[Path]:
    """The cgroup (v2) of this process and those above it, without the root."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        if line.startswith("0::/"):
            group = _CGROUP_ROOT / line[4:]
            return [one for one in (group, *group.parents) if _CGROUP_ROOT in one.parents]
    return []
