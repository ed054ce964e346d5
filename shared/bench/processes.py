"""Wake-up latency of the executive beside cyclictest; what both processes cost at a rate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from typing import Any

import numpy as np

from shared.bench.figures import Figure, median, percentile
from shared.bench.running import memory_mib, processor_seconds, running
from shared.cli.supervisor import program
from shared.core import MxrcError
from shared.enums import CycleFlag, RegionId
from shared.ring import RingReader

RT_PRIORITY = 80


def wakeups(rounds: int = 5, seconds: float = 2.0) -> tuple[list[Figure], str]:
    """Wake-up latency at 1 kHz, in turns with cyclictest on the same CPU.

    cyclictest runs with the same policy and priority; both hold /dev/cpu_dma_latency at 0. While it
    runs the executive does not, and the other way round.

    Returns the figures, and why cyclictest's are missing (empty when they are there).
    """
    missing = ""
    ours: list[Any] = []
    theirs: list[Any] = []
    for _ in range(rounds):
        late, cpu, policy = _executive(seconds)
        ours.append(late)
        if missing:
            continue
        if policy != "SCHED_FIFO":
            missing = "the executive runs without SCHED_FIFO here: nothing to compare with"
            continue
        beside = _cyclictest(seconds, cpu)
        if isinstance(beside, str):
            missing = beside
        else:
            theirs.append(beside)
    figures = _latencies("wake", "wake-up of the executive", ours)
    if theirs:
        figures += _latencies("cyclictest", "cyclictest", theirs)
        pairs = zip(ours, theirs, strict=True)
        ratio = median([median(one) / median(other) for one, other in pairs])
        figures.append(Figure("wake_ratio", "wake-up p50 / cyclictest", ratio, "", 1.2))
    return figures, missing


def _latencies(key: str, title: str, runs: list[Any]) -> list[Figure]:
    return [
        Figure(f"{key}_p{q}", f"{title}, p{q}", median([percentile(one, q) for one in runs]), "us")
        for q in (50, 99)
    ]


def _executive(seconds: float) -> tuple[Any, int, str]:
    """Latencies in us, the CPU and the policy in force."""
    with running() as here:
        time.sleep(seconds + 0.3)
        records = RingReader(here.segment, RegionId.CYCLE_RING).latest(100_000).records
        tid = int(here.segment.rt_status.tid)
        cpu = int(here.segment.rt_status.cpu)
        policy = "SCHED_FIFO" if os.sched_getscheduler(tid) == os.SCHED_FIFO else "other"
    kept = records[(records["flags"] & int(CycleFlag.WARMUP)) == 0]
    return (kept["wake_ns"] - kept["scheduled_ns"]).astype(np.float64) / 1000, cpu, policy


def _cyclictest(seconds: float, cpu: int) -> Any:
    """Latencies in us, or why there are none."""
    if shutil.which("cyclictest") is None:
        return "cyclictest is missing: apt-get install rt-tests"
    loops = round(seconds * 1000)
    done = subprocess.run(
        [
            *("cyclictest", "-m", "-N", "-v", "-t1", "-i1000"),
            *(f"-p{RT_PRIORITY}", f"-a{cpu}", f"-l{loops}"),
        ],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
    )
    found = re.findall(r"^\s*0:\s*(\d+):\s*(\d+)\s*$", done.stdout, re.MULTILINE)
    values = [int(ns) / 1000 for loop, ns in found if int(loop) >= 100]
    return values or f"cyclictest: {(done.stderr or done.stdout).strip()[:200] or 'no output'}"


def cost(period_us: int = 1000, seconds: float = 10.0) -> list[Figure]:
    """Processor time and memory of both processes while the demo task runs.

    RT cycle times are end - wake of the records of that time.
    """
    hertz = 1_000_000 // period_us
    with running(period_us=period_us, nonrt=True) as here:
        started = subprocess.run(
            [*program("mxrc", "shared.cli"), "task", "start", "demo"],
            env=dict(here.environ),
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        if started.returncode:
            raise MxrcError(f"the demo task does not start: {started.stderr.strip()}")
        time.sleep(2.0)
        assert here.nonrt is not None
        reader = RingReader(here.segment, RegionId.CYCLE_RING)
        start = time.monotonic()
        rt, nonrt = processor_seconds(here.rt), processor_seconds(here.nonrt)
        time.sleep(seconds)
        took = time.monotonic() - start
        rt, nonrt = processor_seconds(here.rt) - rt, processor_seconds(here.nonrt) - nonrt
        memory = memory_mib(here.nonrt)
        records = reader.latest(min(16_384, round(hertz * seconds))).records
    work = (records["end_ns"] - records["wake_ns"]) / 1000
    tail, at = "" if period_us == 1000 else f".{hertz}", f"at {hertz // 1000} kHz"
    known = period_us == 1000
    return [
        Figure(
            f"nonrt_cpu{tail}",
            f"Non-RT CPU {at}",
            100 * nonrt / took,
            "% of a core",
            5.0 if known else None,
        ),
        Figure(
            f"nonrt_rss{tail}",
            f"Non-RT memory (RSS) {at}",
            memory["Rss"],
            "MiB",
            120.0 if known else None,
        ),
        Figure(f"nonrt_pss{tail}", f"Non-RT memory (PSS) {at}", memory["Pss"], "MiB"),
        Figure(f"rt_cpu{tail}", f"RT CPU {at}", 100 * rt / took, "% of a core"),
        Figure(f"cycle_p50{tail}", f"cycle time p50 {at}", percentile(work, 50), "us"),
        Figure(f"cycle_p99{tail}", f"cycle time p99 {at}", percentile(work, 99), "us"),
    ]
