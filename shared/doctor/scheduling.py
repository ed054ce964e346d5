"""Rights and limits of real-time scheduling: throttling, groups, rlimits, capabilities."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable

from shared.doctor.finding import Finding, Group, Subject
from shared.kernel.files import KernelFiles
from shared.kernel.throttling import read_throttling

_GROUP = Group("scheduling")
_CAP_IPC_LOCK = 14
_CAP_SYS_NICE = 23


def checks(subject: Subject) -> Iterable[Finding]:
    """For the running RT process when there is one, else for this process and its user."""
    yield _throttling(subject)
    yield _group_scheduling(subject)
    yield _priority(subject)
    yield _memory_lock(subject)


def _throttling(subject: Subject) -> Finding:
    state = read_throttling(subject.files)
    mode = subject.config.rt_schedule.wait.mode
    if state.in_force:
        fix = "sysctl -w kernel.sched_rt_runtime_us=-1 (and in /etc/sysctl.d)"
        what = f"a real-time thread that does not sleep loses the CPU: {state}"
        if mode == "busy":
            return _GROUP.bad("throttling", f"{what}; wait.mode is busy", fix + ", or use hybrid")
        if mode == "hybrid":
            return _GROUP.ok("throttling", f"{what}; hybrid waiting sleeps in every period")
        return _GROUP.ok("throttling", f"{what}; sleep waiting never does that")
    if state.fair_server:
        what = "this kernel does not throttle: a starving ordinary thread gets 5 % of its CPU"
        if mode == "busy" and subject.isolation().mode(subject.cpus) == "NONE":
            return _GROUP.warn(
                "throttling", f"{what}, and CPU {subject.shown_cpus} is not isolated", "isolate it"
            )
        return _GROUP.ok("throttling", what)
    return _GROUP.ok("throttling", "off")


def _group_scheduling(subject: Subject) -> Finding:
    if _own_group_runtime(subject.files, subject.rt_pid or "self") == 0:
        return _GROUP.bad(
            "RT_GROUP_SCHED",
            "the cgroup of this process has no real-time share: SCHED_FIFO is refused",
            "echo 950000 > cpu.rt_runtime_us in its cgroup, or boot with rt_group_sched=0",
        )
    if not subject.files.config("RT_GROUP_SCHED"):
        return _GROUP.ok("RT_GROUP_SCHED", "not in this kernel")
    return _GROUP.ok("RT_GROUP_SCHED", "the cgroup of this process may use real time")


def _own_group_runtime(files: KernelFiles, pid: int | str) -> int | None:
    for line in (files.text(f"/proc/{pid}/cgroup") or "").splitlines():
        _number, controllers, name = [*line.split(":", 2), "", ""][:3]
        if "cpu" in controllers.split(","):
            for mount in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"):
                value = files.number(f"{mount}/{name.strip('/')}/cpu.rt_runtime_us")
                if value is not None:
                    return value
    return None


def capabilities(files: KernelFiles, pid: int | str) -> int:
    """Effective capabilities of a process, as bits."""
    for line in (files.text(f"/proc/{pid}/status") or "").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _limit(subject: Subject, name: str, number: int) -> float:
    """Soft limit of the running RT process, else of this one."""
    if subject.rt_pid is None:
        soft = resource.getrlimit(number)[0]
        return float("inf") if soft == resource.RLIM_INFINITY else soft
    for line in (subject.files.text(f"/proc/{subject.rt_pid}/limits") or "").splitlines():
        if line.startswith(name):
            word = line.removeprefix(name).split()[0]
            return float("inf") if word == "unlimited" else float(word)
    return 0


def _who(subject: Subject) -> str:
    if subject.rt_pid is None:
        return f"this process (user {os.getuid()})"
    return f"mxrc-rt ({subject.rt_pid})"


def _priority(subject: Subject) -> Finding:
    affinity = subject.config.cpu_affinity.rt_process
    if affinity.policy == "SCHED_OTHER":
        return _GROUP.warn("priority", "the RT thread is configured SCHED_OTHER", "SCHED_FIFO")
    who = _who(subject)
    if capabilities(subject.files, subject.rt_pid or "self") >> _CAP_SYS_NICE & 1:
        return _GROUP.ok("priority", f"{who} has CAP_SYS_NICE")
    limit = _limit(subject, "Max realtime priority", resource.RLIMIT_RTPRIO)
    if affinity.policy != "SCHED_DEADLINE" and limit >= affinity.priority:
        return _GROUP.ok("priority", f"{who} may use priorities up to {limit:g}")
    return _GROUP.bad(
        "priority",
        f"{who} may not use {affinity.policy} {affinity.priority or ''}".rstrip()
        + f" (RLIMIT_RTPRIO {limit:g}, no CAP_SYS_NICE)",
        "AmbientCapabilities=CAP_SYS_NICE or LimitRTPRIO= in the unit; by hand a limits file: "
        "`mxrc doctor --fix-hints` prints it",
    )


def _memory_lock(subject: Subject) -> Finding:
    who = _who(subject)
    if capabilities(subject.files, subject.rt_pid or "self") >> _CAP_IPC_LOCK & 1:
        return _GROUP.ok("memory lock", f"{who} has CAP_IPC_LOCK")
    limit = _limit(subject, "Max locked memory", resource.RLIMIT_MEMLOCK)
    if limit == float("inf"):
        return _GROUP.ok("memory lock", f"{who} may lock all memory")
    return _GROUP.warn(
        "memory lock",
        f"{who} may lock {limit / 1024:.0f} KiB: only the segment and the stack, page faults "
        "elsewhere stay possible",
        "LimitMEMLOCK=infinity or AmbientCapabilities=CAP_IPC_LOCK in the unit, or a limits file",
    )
