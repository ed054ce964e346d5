"""Whether the kernel takes the CPU from a real-time thread that never sleeps.

Until Linux 6.11, and later with CONFIG_RT_GROUP_SCHED, sched_rt_runtime_us of each
sched_rt_period_us is all that FIFO and RR threads of a CPU get. Otherwise, from 6.12 on, a
deadline server gives starving ordinary threads their share (fair_server), and a CPU that nobody
else wants is left to its real-time thread; sched_rt_runtime_us then only admits deadline threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.kernel.files import KernelFiles

FAIR_SERVER_SINCE: Final = (6, 12)


@dataclass(frozen=True, slots=True)
class Throttling:
    """runtime_us of period_us as set; -1: no limit, None: the kernel has no such setting.

    in_force: whether a spinning FIFO thread loses the CPU by it. fair_server: whether starving
    ordinary threads of its CPU get a share.
    """

    runtime_us: int | None
    period_us: int | None
    in_force: bool
    fair_server: bool

    def __str__(self) -> str:
        if self.in_force:
            return f"{self.runtime_us} of {self.period_us} us"
        return "fair server" if self.fair_server else "none"


def read_throttling(files: KernelFiles) -> Throttling:
    """A kernel whose build is not known is taken for one that throttles."""
    runtime = files.number("/proc/sys/kernel/sched_rt_runtime_us")
    period = files.number("/proc/sys/kernel/sched_rt_period_us")
    limited = runtime is not None and runtime >= 0 and (period is None or runtime < period)
    modern = files.release() >= FAIR_SERVER_SINCE and not _group_scheduling(files)
    return Throttling(runtime, period, limited and not modern, modern)


def _group_scheduling(files: KernelFiles) -> bool:
    built = files.config("RT_GROUP_SCHED")
    if built is None:
        # Real-time preemption and group scheduling exclude each other.
        return files.text("/sys/kernel/realtime") != "1"
    default = "0" if files.config("RT_GROUP_SCHED_DEFAULT_DISABLED") else "1"
    return built and files.boot_parameters().get("rt_group_sched", default) not in ("0", "off", "n")
