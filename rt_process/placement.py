"""Where the RT thread runs and how it is scheduled: what is configured, and what can be had.

What cannot be had makes an exclusive process refuse to start; any other one runs on without it and
says so: each `Reason` goes into the member document, and /health says DEGRADED.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rt_process.system import SCHED_DEADLINE, System
from shared.config import Config
from shared.config.machine import Machine, format_cpu_list, non_rt_cpus, rt_cpus
from shared.config.models.cpu_affinity import ProcessAffinity
from shared.kernel.isolation import isolation_document, isolation_reasons
from shared.reasons import Reason, refuse_if_exclusive
from shared.startup import Refused

POLICIES: Final = {
    "SCHED_OTHER": os.SCHED_OTHER,
    "SCHED_FIFO": os.SCHED_FIFO,
    "SCHED_RR": os.SCHED_RR,
    "SCHED_DEADLINE": SCHED_DEADLINE,
}
MAX_CPUS: Final = 1024
_WHERE: Final = "cpu_affinity.json: $.rt_process"
_GRANT: Final = (
    "allow the priority with LimitRTPRIO= under systemd, or rtprio in /etc/security/limits.conf "
    "(ulimit -r shows it); or run it as root, or give it CAP_SYS_NICE (AmbientCapabilities= under "
    "systemd; setcap gives it to everything that its interpreter runs)"
)
DEADLINE_FIX: Final = (
    "the kernel takes a pinned deadline thread only in a cpuset partition of type root "
    "whose CPUs are all in cpu_cores, with CAP_SYS_NICE, and when runtime/period fits "
    "beside the other deadline threads: `mxrc cpuset create --root`, or use SCHED_FIFO"
)


@dataclass(frozen=True, slots=True)
class Placement:
    """What is in force for the RT thread and the main thread; policy as in sched(7).

    deadline_ns: runtime, deadline and period of SCHED_DEADLINE, else zero. machine: what the kernel
    does for these CPUs.
    """

    policy: str
    priority: int
    cpus: tuple[int, ...]
    main_cpus: tuple[int, ...]
    isolation: str
    reasons: tuple[Reason, ...] = ()
    configured: dict[str, Any] = field(default_factory=dict)
    deadline_ns: tuple[int, int, int] = (0, 0, 0)
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def policy_number(self) -> int:
        return POLICIES[self.policy]

    def document(self) -> dict[str, Any]:
        """As JSON, for the member document."""
        return {
            "configured": self.configured,
            "in_force": {
                "policy": self.policy,
                "priority": self.priority,
                "cpu_cores": list(self.cpus),
                "isolation_mode": self.isolation,
                "main_thread_cpu_cores": list(self.main_cpus),
                **({"dl_ns": list(self.deadline_ns)} if any(self.deadline_ns) else {}),
                **self.machine,
            },
        }


def plan(config: Config, system: System, machine: Machine, sleeper: int = 0) -> Placement:
    """Find out, by trying, what of the configuration can be had.

    Tried on the calling thread, which ends up with SCHED_OTHER on its own CPUs (`main_cpus`). Or,
    while the RT thread runs, on a thread that sleeps: then the calling one stays as it is. It would
    get no time beside an RT thread that spins, or take time from it. SCHED_DEADLINE is not tried
    then: the RT thread may hold a reservation, and the kernel has no room for both.

    Raises:
        Refused: the process is exclusive and something is not to be had, or what is configured
            cannot work at all; one line per reason, with the fix.
    """
    affinity = config.cpu_affinity.rt_process
    refuse_impossible(config, system)
    reasons: list[Reason] = []
    if sleeper:  # real-time priority is tried elsewhere, not on the RT thread's CPUs
        policy, priority = _scheduling(affinity, system, reasons, sleeper)
        cpus = _cpus(config, system, machine, reasons, sleeper)
    else:  # SCHED_DEADLINE needs the CPUs first
        cpus = _cpus(config, system, machine, reasons)
        policy, priority = _scheduling(affinity, system, reasons)
    isolation = replace(system.isolation(), isolated=machine.isolated_cpus())
    reasons += isolation_reasons(affinity.isolation_mode, cpus, isolation)
    for thread in affinity.threads:
        reasons.append(
            Reason(
                f"the RT process has no thread named {thread.thread_name}",
                "remove it from $.rt_process.threads",
            )
        )
    refuse_if_exclusive(affinity.is_exclusive, reasons, _WHERE)
    main_cpus = _main_cpus(config, cpus, system, machine)
    if not sleeper:
        _try(lambda: system.set_affinity(0, main_cpus))
    return Placement(
        policy=policy,
        priority=priority,
        cpus=cpus,
        main_cpus=main_cpus,
        isolation=isolation.mode(cpus),
        reasons=tuple(reasons),
        deadline_ns=_deadline_ns(affinity) if policy == "SCHED_DEADLINE" else (0, 0, 0),
        machine=isolation_document(isolation, cpus, system.interrupts(cpus))
        | {"throttling": str(system.throttling())},
        configured={
            "policy": affinity.policy,
            "priority": affinity.priority,
            "cpu_cores": "auto" if affinity.cpu_cores == "auto" else list(affinity.cpu_cores),
            "isolation_mode": affinity.isolation_mode,
            "is_exclusive": affinity.is_exclusive,
        },
    )


def refuse_impossible(config: Config, system: System) -> None:
    """What cannot work however it is placed. Raises Refused."""
    real_time = config.cpu_affinity.rt_process.policy != "SCHED_OTHER"
    if config.rt_schedule.wait.mode == "busy" and real_time and system.throttling().in_force:
        raise Refused(
            "rt_schedule.json: $.wait.mode: found busy: must not be used while the kernel "
            "throttles real-time threads: sysctl -w kernel.sched_rt_runtime_us=-1, or use hybrid"
        )


def _cpus(
    config: Config, system: System, machine: Machine, reasons: list[Reason], thread: int = 0
) -> tuple[int, ...]:
    wanted = rt_cpus(config.cpu_affinity, machine)
    allowed = system.allowed_cpus()
    if config.cpu_affinity.rt_process.cpu_cores == "auto" and not allowed.issuperset(wanted):
        wanted = (max(allowed),)  # a container sees all CPUs and may use some
    shown = format_cpu_list(frozenset(wanted))
    if max(wanted) >= MAX_CPUS:
        raise Refused(f"{_WHERE}.cpu_cores: found {shown}: must be below {MAX_CPUS}")
    error = _try(lambda: system.set_affinity(thread, wanted))
    if error is None:
        return tuple(sorted(wanted))
    has = format_cpu_list(allowed)
    reasons.append(
        Reason(
            f"the RT thread cannot be put on CPU {shown} ({error})",
            f"its cpuset allows {has}: name some of these in cpu_cores, or widen the cpuset",
        )
    )
    return tuple(sorted(allowed))


def _scheduling(
    affinity: ProcessAffinity, system: System, reasons: list[Reason], thread: int = 0
) -> tuple[str, int]:
    if affinity.policy == "SCHED_OTHER":
        return affinity.policy, 0
    deadline = affinity.policy == "SCHED_DEADLINE"
    if deadline and thread:
        return affinity.policy, affinity.priority
    if deadline:
        error = _try(lambda: system.set_deadline(0, _deadline_ns(affinity)))
    else:
        number = POLICIES[affinity.policy]
        error = _try(lambda: system.set_scheduler(thread, number, affinity.priority))
    _try(lambda: system.set_scheduler(thread, os.SCHED_OTHER, 0))
    if error is None:
        return affinity.policy, affinity.priority
    if deadline:
        what = f"SCHED_DEADLINE refused ({error}), the RT thread runs with SCHED_OTHER"
        reasons.append(Reason(what, DEADLINE_FIX))
        return "SCHED_OTHER", 0
    reasons.append(
        Reason(
            f"no right to {affinity.policy} priority {affinity.priority} ({error}), "
            "the RT thread runs with SCHED_OTHER",
            _GRANT,
        )
    )
    return "SCHED_OTHER", 0


def _deadline_ns(affinity: ProcessAffinity) -> tuple[int, int, int]:
    times_us = (affinity.dl_runtime_us, affinity.dl_deadline_us, affinity.dl_period_us)
    runtime, deadline, period = (1000 * (time or 0) for time in times_us)
    return runtime, deadline, period


def _main_cpus(
    config: Config, cpus: tuple[int, ...], system: System, machine: Machine
) -> tuple[int, ...]:
    """For the main thread: where the RT thread is not, if there is such a CPU."""
    allowed = system.allowed_cpus()
    candidates = frozenset(non_rt_cpus(config.cpu_affinity, machine)) & allowed - set(cpus)
    return tuple(sorted(candidates or (allowed - set(cpus)) or allowed))


def _try(call: Callable[[], None]) -> str | None:
    """None, or what the kernel said."""
    try:
        call()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def move_thread(placement: Placement, thread: int, system: System) -> None:
    """Put a running thread where the placement says; raises OSError."""
    if placement.policy != "SCHED_DEADLINE":
        system.set_scheduler(thread, placement.policy_number, placement.priority)
        system.set_affinity(thread, placement.cpus)
        return
    # The kernel looks at the affinity when it admits a deadline thread, and keeps it from then on.
    # On the same CPUs the reservation that it has is changed: what is refused leaves it in force.
    if system.affinity_now(thread) != frozenset(placement.cpus):
        system.set_scheduler(thread, os.SCHED_OTHER, 0)
        system.set_affinity(thread, placement.cpus)
    system.set_deadline(thread, placement.deadline_ns)


def move_threads(before: Placement, after: Placement, thread: int, system: System) -> None:
    """The RT thread, and the calling main thread out of its way; raises OSError.

    Meanwhile the main thread is where the RT thread neither was nor will be, if it can be:
    beside one that spins it would have no time to take itself away.
    """
    mains = {*before.main_cpus, *after.main_cpus}
    clear = mains - {*before.cpus, *after.cpus}
    _try(lambda: system.set_affinity(0, sorted(clear or mains)))
    move_thread(after, thread, system)
    _try(lambda: system.set_affinity(0, after.main_cpus))
