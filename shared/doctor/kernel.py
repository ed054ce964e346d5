"""Kernel: preemption, clock source."""

from __future__ import annotations

from collections.abc import Iterable

from shared.doctor.finding import Finding, Group, Subject
from shared.kernel.files import KernelFiles

_GROUP = Group("kernel")
_GOOD_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")


def preemption(files: KernelFiles) -> str:
    """PREEMPT_RT, full, lazy, voluntary, none, or "unknown"."""
    if files.text("/sys/kernel/realtime") == "1":
        return "PREEMPT_RT"
    modes = (files.text("/sys/kernel/debug/sched/preempt") or "").split()
    chosen = [mode.strip("()") for mode in modes if mode.startswith("(")]
    if chosen:
        return chosen[0]
    for option, name in (
        ("PREEMPT_RT", "PREEMPT_RT"),
        ("PREEMPT_NONE", "none"),
        ("PREEMPT_VOLUNTARY", "voluntary"),
        ("PREEMPT_LAZY", "lazy"),
        ("PREEMPT", "full"),
    ):
        if files.config(option):
            return files.boot_parameters().get("preempt", name)
    return "unknown"


def checks(subject: Subject) -> Iterable[Finding]:
    """Kernel type and clock source."""
    files = subject.files
    mode = preemption(files)
    release = files.text("/proc/sys/kernel/osrelease") or "unknown"
    what = f"{release}, preemption: {mode}"
    if mode == "PREEMPT_RT":
        yield _GROUP.ok("type", what)
    else:
        fix = "install a PREEMPT_RT kernel (Debian: linux-image-rt-amd64)"
        if mode in ("none", "voluntary", "lazy"):
            fix += ", or boot with preempt=full"
        yield _GROUP.warn("type", f"{what}: long kernel sections delay the RT thread", fix)
    clock = files.text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if clock is None:
        return
    if clock in _GOOD_CLOCKS:
        yield _GROUP.ok("clocksource", clock)
    else:
        yield _GROUP.warn(
            "clocksource",
            f"{clock}: reading the clock becomes a system call of microseconds",
            "boot with clocksource=tsc tsc=reliable where the TSC is sound; see dmesg for why not",
        )
