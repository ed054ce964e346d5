"""Isolation of the RT thread's CPUs: boot parameters, cpusets, interrupts, SMT."""

from __future__ import annotations

from collections.abc import Iterable

from shared.config.machine import format_cpu_list
from shared.doctor.finding import Finding, Group, Subject
from shared.kernel.interrupts import interrupts_on

_GROUP = Group("isolation")
_SHOWN_INTERRUPTS = 4


def checks(subject: Subject) -> Iterable[Finding]:
    """What else may run on the CPUs of the RT thread."""
    yield from _cpus(subject)
    yield from _mode(subject)
    yield _tick(subject)
    yield _interrupts(subject)
    yield from _siblings(subject)


def _cpus(subject: Subject) -> Iterable[Finding]:
    missing = frozenset(subject.cpus) - subject.machine.online_cpus()
    if missing:
        shown = format_cpu_list(missing)
        yield _GROUP.bad(
            "cpus",
            f"CPU {shown} of the RT thread does not exist or is offline",
            f"echo 1 > /sys/devices/system/cpu/cpu{min(missing)}/online, or change cpu_cores",
        )
    if len(subject.machine.online_cpus()) == 1:
        yield _GROUP.warn(
            "cpus", "there is one CPU for everything", "use a machine with at least two"
        )


def _mode(subject: Subject) -> Iterable[Finding]:
    affinity = subject.config.cpu_affinity.rt_process
    wanted, cpus, shown = affinity.isolation_mode, subject.cpus, subject.shown_cpus
    isolation = subject.isolation()
    in_force = isolation.mode(cpus)
    boot = wanted in ("ISOLCPUS", "HYBRID") and not isolation.by_boot(cpus)
    cpuset = wanted in ("CGROUPS", "HYBRID") and not isolation.by_cpuset(cpus)
    line = f"CPU {shown}: configured {wanted}, in force {in_force}"
    make = _GROUP.bad if affinity.is_exclusive else _GROUP.warn
    if boot:
        yield make("mode", line, f"boot with isolcpus={shown} nohz_full={shown} rcu_nocbs={shown}")
    if cpuset:
        why = isolation.cpuset.why_not if isolation.cpuset is not None else "no cpusets here"
        yield make(
            "mode",
            f"{line} ({why})",
            "under systemd `mxrc systemd install`, by hand as root `mxrc cpuset create`",
        )
    if boot or cpuset:
        return
    if in_force == "NONE":
        yield _GROUP.warn(
            "mode",
            f"{line}: anything may run on the RT thread's CPU",
            f"boot with isolcpus={shown} nohz_full={shown} rcu_nocbs={shown} and set "
            "isolation_mode ISOLCPUS, or CGROUPS with a cpuset (`mxrc cpuset create`)",
        )
    else:
        yield _GROUP.ok("mode", line)


def _tick(subject: Subject) -> Finding:
    isolation, cpus, shown = subject.isolation(), frozenset(subject.cpus), subject.shown_cpus
    missing = [
        f"{name}={shown}"
        for name, have in (("nohz_full", isolation.nohz_full), ("rcu_nocbs", isolation.rcu_nocbs))
        if not have >= cpus
    ]
    if not missing:
        return _GROUP.ok("tick", f"no tick and no RCU callbacks on CPU {shown}")
    return _GROUP.warn(
        "tick",
        f"the kernel's tick or RCU callbacks run on CPU {shown}",
        f"boot with {' '.join(missing)}",
    )


def _interrupts(subject: Subject) -> Finding:
    shown = subject.shown_cpus
    found = interrupts_on(subject.files, subject.cpus)
    if not found:
        return _GROUP.ok("interrupts", f"none is delivered to CPU {shown}")
    names = ", ".join(f"{one.number} {one.name}" for one in found[:_SHOWN_INTERRUPTS])
    more = f" and {len(found) - _SHOWN_INTERRUPTS} more" if len(found) > _SHOWN_INTERRUPTS else ""
    others = subject.machine.online_cpus() - set(subject.cpus)
    target = format_cpu_list(others) if others else "another CPU"
    return _GROUP.warn(
        "interrupts",
        f"{len(found)} may be delivered to CPU {shown}: {names}{more}",
        f"echo {target} > /proc/irq/{found[0].number}/smp_affinity_list and so on, stop irqbalance "
        f"or ban the CPU there, boot with irqaffinity={target} (managed ones cannot be moved: "
        "isolcpus=managed_irq,...)",
    )


def _siblings(subject: Subject) -> Iterable[Finding]:
    ours = frozenset(subject.cpus)
    siblings: frozenset[int] = frozenset()
    for cpu in ours:
        siblings |= subject.files.cpus(
            f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        )
    others = (siblings & subject.machine.online_cpus()) - ours
    if others:
        shown = format_cpu_list(others)
        yield _GROUP.warn(
            "smt",
            f"CPU {shown} shares a core with the RT thread's CPU {subject.shown_cpus}",
            f"echo 0 > /sys/devices/system/cpu/cpu{min(others)}/online, or boot with nosmt",
        )
    elif siblings:
        yield _GROUP.ok("smt", f"no other thread on the core of CPU {subject.shown_cpus}")
