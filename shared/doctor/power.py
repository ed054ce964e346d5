"""Power: frequency governor, idle states."""

from __future__ import annotations

import os
from collections.abc import Iterable

from shared.doctor.finding import Finding, Group, Subject

_GROUP = Group("power")
_DEVICE = "/dev/cpu_dma_latency"
SLOW_EXIT_US = 10


def checks(subject: Subject) -> Iterable[Finding]:
    """What makes a CPU slow to wake or slow to work."""
    yield from _governor(subject)
    yield from _idle_states(subject)


def _governor(subject: Subject) -> Iterable[Finding]:
    governors = {
        cpu: governor
        for cpu in subject.cpus
        if (
            governor := subject.files.text(
                f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
            )
        )
    }
    slow = {cpu: name for cpu, name in governors.items() if name != "performance"}
    if slow:
        cpu, name = next(iter(slow.items()))
        yield _GROUP.warn(
            "governor",
            f"{name} on CPU {cpu}: the clock rises only after work has begun",
            f"echo performance > /sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor",
        )
    elif governors:
        yield _GROUP.ok("governor", "performance")
    else:
        yield _GROUP.ok("governor", "the kernel does not change the frequency here")


def _idle_states(subject: Subject) -> Iterable[Finding]:
    deep = []
    for cpu in subject.cpus:
        folder = f"/sys/devices/system/cpu/cpu{cpu}/cpuidle"
        for state in subject.files.names(folder):
            latency = subject.files.number(f"{folder}/{state}/latency") or 0
            if latency > SLOW_EXIT_US and subject.files.text(f"{folder}/{state}/disable") != "1":
                name = subject.files.text(f"{folder}/{state}/name") or state
                deep.append(f"{name} ({latency} us)")
    path = subject.files.path(_DEVICE)
    # Who runs this may open what the RT process may not, and the other way round.
    held = subject.instance.get("placement", {}).get("cpu_dma_latency_held")
    if held is not None:
        found = f"held by the RT process {subject.rt_pid}"
    elif path.exists():
        held = os.access(path, os.W_OK)
        found = f"writable for user {os.getuid()}, who runs this"
    else:
        fix = "boot with processor.max_cstate=1 intel_idle.max_cstate=0, or idle=poll"
        if deep:
            yield _GROUP.warn(
                "idle states", f"deep states cannot be kept off: no {_DEVICE}: {deep[-1]}", fix
            )
        else:
            yield _GROUP.ok("idle states", f"none is slow to leave (no {_DEVICE})")
        return
    if held:
        yield _GROUP.ok("idle states", f"{_DEVICE} is {found}: deep states are kept off")
    else:
        yield _GROUP.warn(
            "idle states",
            f"{_DEVICE} is not {found}: waking from idle takes longer (40 instead of 18 us where "
            "it was measured)",
            "a udev rule gives it to a group: `mxrc doctor --fix-hints` prints it; RT opens it at "
            "its start",
        )
