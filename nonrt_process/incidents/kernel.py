"""What the kernel says about pauses that no cycle record can show."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Final

from shared.kernel.files import KernelFiles
from shared.kernel.throttling import Throttling, read_throttling

_STEAL: Final = 8
"""Column of /proc/stat's `cpu` line, after its name: see proc(5)."""
_KEPT_NS: Final = 10 * 10**9


class Kernel:
    """Steal time over the last looks, and how the kernel throttles real-time threads."""

    def __init__(self, root: Path = Path("/"), looks: int = 10) -> None:
        self._files = KernelFiles(root)
        self._throttling: Throttling | None = None
        self._throttling_ns = 0
        self._proc = root / "proc"
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
        now = self.now_ns()
        if self._throttling is None or now - self._throttling_ns > _KEPT_NS:
            # It may have to unpack the kernel's build configuration: not for every late cycle.
            self._throttling, self._throttling_ns = read_throttling(self._files), now
        found = self._throttling
        if not found.in_force or found.runtime_us is None or found.period_us is None:
            return 0
        return (found.period_us - found.runtime_us) * 1000
