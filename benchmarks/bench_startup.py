"""Start-up: from exec to the first cycle of RT, and to the first drained batch of Non-RT.

Beside each figure stands a bare `python -c pass` of the same run: on a loaded machine all of them
grow. Goals: RT < 500 ms, Non-RT < 300 ms. usage: bench_startup.py [RUNS]
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from shared.core import MxrcError
from shared.segment import Segment

BIN = Path(sys.executable).parent
LIMIT_S = 30.0
NS_PER_MS = 1e6


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def bare() -> float:
    """ms of a Python that does nothing."""
    began = _now_ns()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (_now_ns() - began) / NS_PER_MS


def _segment(instance: str) -> Segment | None:
    try:
        return Segment.attach(instance)
    except MxrcError:
        return None


def _wait(what: str, began: int) -> None:
    if _now_ns() - began > LIMIT_S * 1e9:
        raise SystemExit(f"waited {LIMIT_S} s for {what}")
    time.sleep(0.001)


def cpu_ms(pid: int) -> float:
    """CPU time of all threads: what does not grow with the load of the machine."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / NS_PER_MS


def first_cycle(instance: str, environ: Mapping[str, str], before: int) -> tuple[int, float, float]:
    """(pid, ms, ms of CPU) from exec until a new RT process is PRIMARY.

    before: pid of the one until now.
    """
    began = _now_ns()
    process = subprocess.Popen([str(BIN / "mxrc-rt")], env=dict(environ), stderr=subprocess.DEVNULL)
    while True:
        segment = _segment(instance)
        if segment is not None:
            status = segment.rt_status
            beat = int(status.heartbeat_ns)
            if int(status.pid) == process.pid != before and beat > began:
                # The heartbeat of its first cycle, or of one a few periods later.
                cpu = cpu_ms(process.pid)
                return process.pid, (int(status.started_ns) - began) / NS_PER_MS, cpu
        _wait("a cycle", began)


def first_batch(instance: str, environ: Mapping[str, str]) -> tuple[int, float, float, float]:
    """(pid, ms to the first heartbeat, ms until a consumer's cursor moves, ms of CPU until then)
    of a new Non-RT.
    """
    segment = _segment(instance)
    assert segment is not None
    status, cursors = segment.nonrt_status, segment.cursors

    def places() -> list[int]:
        return [int(lane) for cursor in cursors.cursor for lane in (*cursor.lane, cursor.cycle)]

    old, old_beat, began = places(), int(status.heartbeat_ns), _now_ns()
    process = subprocess.Popen(
        [str(BIN / "mxrc-nonrt")], env=dict(environ), stderr=subprocess.DEVNULL
    )
    beat_ms = 0.0
    while places() == old:
        if not beat_ms and int(status.heartbeat_ns) != old_beat:
            beat_ms = (_now_ns() - began) / NS_PER_MS
        _wait("a batch", began)
    return process.pid, beat_ms, (_now_ns() - began) / NS_PER_MS, cpu_ms(process.pid)


def _end(pid: int, number: int) -> None:
    os.kill(pid, number)
    os.waitpid(pid, 0)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    instance = f"startup-{os.getpid()}"
    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory(prefix="mxrc-startup-") as folder:
        environ = {
            **os.environ,
            "MXRC_INSTANCE__INSTANCE": instance,
            **{
                f"MXRC_INSTANCE__{name}_DIR": f"{folder}/{name}"
                for name in ("RUN", "LOG", "CHECKPOINT", "DATA")
            },
            "MXRC_API__PORT": "0",
            "MXRC_API__METRICS_PORT": "0",
        }
        rt = nonrt = 0
        try:
            for run in range(runs + 1):
                note("python -c pass", bare())
                if rt:
                    _end(rt, signal.SIGKILL)
                rt, took, cpu = first_cycle(instance, environ, rt)
                note("mxrc-rt: CPU until its first cycle", cpu)
                note("mxrc-rt: exec to first cycle" + ("" if run else ", nothing there"), took)
                if nonrt:
                    _end(nonrt, signal.SIGKILL)
                time.sleep(0.2)
                nonrt, beat, took, cpu = first_batch(instance, environ)
                note("mxrc-nonrt: exec to first heartbeat", beat)
                note("mxrc-nonrt: CPU until its first batch", cpu)
                note("mxrc-nonrt: exec to first batch", took)
                time.sleep(1.0)
        finally:
            for pid in (rt, nonrt):
                if pid:
                    _end(pid, signal.SIGTERM)
    rows = [
        {
            "figure": name,
            "runs": len(values),
            "median_ms": round(statistics.median(values), 1),
            "min_ms": round(min(values), 1),
            "max_ms": round(max(values), 1),
        }
        for name, values in figures.items()
    ]
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
