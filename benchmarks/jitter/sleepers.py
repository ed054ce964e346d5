"""The executive and cyclictest, each for a number of cycles on a CPU of a machine."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.bench.running import running
from shared.core import MxrcError
from shared.enums import CycleFlag, RegionId
from shared.ring import RingReader

PRIORITY: Final = 80
DEADLINE_SHARE: Final = 0.9
"""Of the period; what rt_schedule.json has by default."""
MODES: Final[Mapping[str, Mapping[str, str]]] = {
    "sleep": {"MODE": "sleep"},
    "hybrid fixed": {"MODE": "hybrid"},
    "hybrid auto": {"MODE": "hybrid", "SPIN_MARGIN_US": "auto"},
    "busy": {"MODE": "busy"},
}
FIXED_MARGIN_US: Final = 100
"""At most half a period of it."""
_WARM_UP: Final = 200
_SLACK_S: Final = 30


@dataclass(frozen=True, slots=True)
class Run:
    """late_us: latency of each wake-up, shape (n,). slots: of the grid, that passed meanwhile.

    missed: slots without outputs at their deadline. cpu_percent: processor time of the thread.
    margin_us: of hybrid waiting, as it was in the end. trouble: what was not as asked for.
    """

    who: str
    cpu: int
    late_us: npt.NDArray[np.float64]
    missed: int
    slots: int
    cpu_percent: float
    margin_us: int | None = None
    trouble: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON; us, shares."""
        p50, p99, p999 = np.percentile(self.late_us, (50, 99, 99.9))
        return {
            "who": self.who,
            "cpu": self.cpu,
            "cycles": len(self.late_us),
            "mean_us": float(self.late_us.mean()),
            "p50_us": float(p50),
            "p99_us": float(p99),
            "p99_9_us": float(p999),
            "max_us": float(self.late_us.max()),
            "missed": self.missed,
            "miss_rate": self.missed / max(1, self.slots),
            "cpu_percent": self.cpu_percent,
            "spin_margin_us": self.margin_us,
            "trouble": self.trouble,
        }


def executive(
    mode: str,
    period_us: int,
    cycles: int,
    *,
    prefix: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Run:
    """mxrc-rt with a wait mode of MODES; prefix: what its command line is put behind.

    Raises:
        MxrcError: it does not start, or does not run so many cycles.
    """
    chosen = {f"MXRC_RT_SCHEDULE__WAIT__{key}": value for key, value in MODES[mode].items()}
    if mode == "hybrid fixed":
        margin = min(FIXED_MARGIN_US, period_us // 2)
        chosen["MXRC_RT_SCHEDULE__WAIT__SPIN_MARGIN_US"] = str(margin)
    chosen |= {"MXRC_INSTANCE__CYCLE_RING_SLOTS": "65536", **(settings or {})}
    with running(period_us=period_us, settings=chosen, prefix=prefix) as here:
        reader = RingReader(here.segment, RegionId.CYCLE_RING)
        tid = int(here.segment.rt_status.tid)
        _reach(reader, _WARM_UP, period_us)
        reader.cursor = reader.head
        started, used = time.monotonic(), _thread_seconds(here.rt, tid)
        _reach(reader, reader.cursor + cycles, period_us)
        share = 100 * (_thread_seconds(here.rt, tid) - used) / (time.monotonic() - started)
        records = reader.read(cycles).records
        status = here.segment.rt_status
        cpu = int(status.cpu)
        margin_us = round(int(status.spin_margin_ns) / 1000)
        fifo = os.sched_getscheduler(tid) == os.SCHED_FIFO
    kept = records[(records["flags"] & int(CycleFlag.WARMUP)) == 0]
    if len(kept) < cycles // 2:
        raise MxrcError(f"only {len(kept)} of {cycles} cycles could be read")
    late = (kept["wake_ns"] - kept["scheduled_ns"]).astype(np.float64) / 1000
    grid = kept["scheduled_ns"].astype(np.int64)
    slots = round((grid[-1] - grid[0]) / (1000 * period_us)) + 1
    missed = int(np.count_nonzero(kept["flags"] & int(CycleFlag.DEADLINE_MISS)))
    missed += slots - len(kept)
    trouble = "" if fifo else "without SCHED_FIFO"
    return Run(mode, cpu, late, missed, slots, share, margin_us or None, trouble)


def cyclictest(
    period_us: int, cycles: int, cpu: int, *, prefix: Sequence[str] = (), priority: int = PRIORITY
) -> Run | str:
    """cyclictest on that CPU, SCHED_FIFO (priority 0: SCHED_OTHER), or why it says nothing."""
    command = [*prefix, "cyclictest", "-m", "-N", "-v", "-t1", f"-i{period_us}"]
    command += [f"-p{priority}", f"-a{cpu}", f"-l{cycles + _WARM_UP}"]
    before = os.times()
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=cycles * period_us / 1e6 + _SLACK_S,
            check=False,
        )
    except FileNotFoundError:
        return "cyclictest is missing: apt-get install rt-tests"
    except subprocess.TimeoutExpired:
        return f"cyclictest did not end within {_SLACK_S} s of its time"
    took, after = time.monotonic() - started, os.times()
    found = re.findall(r"^\s*0:\s*(\d+):\s*(\d+)\s*$", done.stdout, re.MULTILINE)
    late = np.array([int(ns) / 1000 for loop, ns in found if int(loop) >= _WARM_UP])
    if not len(late):
        return f"cyclictest: {(done.stderr or done.stdout).strip()[:200] or 'no output'}"
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    # It leaves out the slots that passed while it was late.
    skipped = int(np.floor(late / period_us).sum())
    missed = int(np.count_nonzero(late > DEADLINE_SHARE * period_us)) + skipped
    return Run("cyclictest", cpu, late, missed, len(late) + skipped, 100 * used / took)


def _reach(reader: RingReader, head: int, period_us: int) -> None:
    limit = time.monotonic() + (head - reader.head) * period_us / 1e6 + _SLACK_S
    while (left := head - reader.head) > 0:
        if time.monotonic() > limit:
            raise MxrcError(f"the executive is {left} cycles behind")
        time.sleep(max(0.005, left * period_us / 1e6))


def _thread_seconds(pid: int, tid: int) -> float:
    """Processor time of a thread so far."""
    spent = Path(f"/proc/{pid}/task/{tid}/schedstat").read_text(encoding="ascii").split()[0]
    return int(spent) / 1e9
