"""What /proc says about a process: start, CPU time, memory, core, NUMA node."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

from nonrt_process.interfaces import ProcessName
from nonrt_process.rt_view import RtView
from shared.numa.maps import PageCounts, count_pages, counts_from_document

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIN_WINDOW_S = 0.2
_PAGES_WINDOW_S = 1.0
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """What /proc/PID shows.

    start_ticks: field 22 of stat, ticks since boot. cpu_s: CPU time of all threads since its start.
    core: where its main thread ran last. memory_bytes: resident, shared pages included.
    """

    pid: int
    start_ticks: int
    cpu_s: float
    core: int
    memory_bytes: int

    @property
    def uptime_s(self) -> float:
        """Seconds since it was started."""
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - self.start_ticks / _TICKS_PER_S)


def sample(pid: int) -> ProcessSample | None:
    """None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        resident = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the command may hold spaces; field 3 is first
    return ProcessSample(
        pid=pid,
        start_ticks=int(fields[19]),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_S,
        core=int(fields[36]),
        memory_bytes=int(resident) * _PAGE_BYTES,
    )


class CpuMeter:
    """CPU use of processes between two looks, in per cent of one CPU; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[int, tuple[int, float, float, float]] = {}

    def percent(self, found: ProcessSample) -> float:
        """Since the last look that is at least 0.2 s old; since its start at the first one."""
        now = time.monotonic()
        with self._lock:
            start, then, cpu_s, value = self._last.get(found.pid, (-1, 0.0, 0.0, 0.0))
            if start != found.start_ticks:
                then, cpu_s = now - max(found.uptime_s, _MIN_WINDOW_S), 0.0
            elif now - then < _MIN_WINDOW_S:
                return value
            value = 100.0 * max(0.0, found.cpu_s - cpu_s) / (now - then)
            if len(self._last) > 16:
                self._last.clear()
            self._last[found.pid] = (found.start_ticks, now, found.cpu_s, value)
            return value


def rfc3339(realtime_ns: float) -> str:
    """UTC with milliseconds."""
    moment = datetime.fromtimestamp(realtime_ns / 1e9, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class OwnPages:
    """Where the pages of this process are, read at most once a second; safe between threads."""

    def __init__(self, process: Path = Path("/proc/self")) -> None:
        self._file = process / "numa_maps"
        self._lock = threading.Lock()
        self._read_at = -_PAGES_WINDOW_S
        self._counts: PageCounts | None = None

    def counts(self) -> PageCounts | None:
        """Anonymous memory and files, the segment among these; None without NUMA support."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= _PAGES_WINDOW_S:
                self._read_at = now
                try:
                    text = self._file.read_text(encoding="utf-8", errors="replace")
                    self._counts = count_pages(text)
                except (OSError, ValueError):
                    self._counts = None
            return self._counts


OWN_PAGES = OwnPages()


def page_counts(process: ProcessName, view: RtView | None) -> PageCounts | None:
    """Where the pages of a process are, as it measured itself; None when it did not."""
    if process == "non_rt_process":
        return OWN_PAGES.counts()
    pages = None if view is None or not view.alive else view.placement("in_force", "pages")
    return counts_from_document(pages)


@cache
def node_of_cpu(cpu: int) -> int | None:
    """NUMA node of a CPU; None when the kernel does not say."""
    for path in (_CPUS / f"cpu{cpu}").glob("node[0-9]*"):
        return int(path.name[4:])
    return None
