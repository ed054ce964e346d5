"""What the kernel says about pauses that no cycle record can show."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Final

_STEAL: Final = 8
"""Column of /proc/stat's `cpu` line, after its name: see proc(5)."""


class Kernel:
    """Steal time over the last looks, and how the kernel throttles real-time threads."""

    def __init__(self, proc: Path = Path("/proc"), looks: int = 10) -> None:
        self._proc = proc
        self._tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
        self._stolen: deque[int] = deque(maxlen=looks)

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def look(self) -> None:
        """Called about every 0.2 s."""
        try:
            line = (self._proc / "stat").read_text().split("\n", 1)[0].split()
            self._stolen.append(int(line[_STEAL]) * self._tick_ns)
        except (OSError, ValueError, IndexError):
            self._stolen.clear()

    def stolen_ns(self) -> int:
        """Taken by the hypervisor since the oldest of the looks (2 s), of all CPUs together."""
        self.look()
        return self._stolen[-1] - self._stolen[0] if self._stolen else 0

    def throttle_pause_ns(self) -> int:
        """How long real-time threads that used their share up are kept off the CPU; 0: never."""
        try:
            folder = self._proc / "sys" / "kernel"
            period = int((folder / "sched_rt_period_us").read_text())
            runtime = int((folder / "sched_rt_runtime_us").read_text())
        except (OSError, ValueError):
            return 0
        return 0 if runtime < 0 else (period - runtime) * 1000
