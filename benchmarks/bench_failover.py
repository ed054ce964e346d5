"""Missed cycles and times of crash, stall and hand-over; restarts; the cost of the state block.

    python benchmarks/bench_failover.py [--rounds N] [--json FILE]

Real processes. Missed: slots of the time grid without a PRIMARY. Goals at 1 kHz: crash p50 0, p99
at most 2; stall p99 at most stall_timeout + 2 cycles; hand-over 0; cold restart of RT < 500 ms from
exec to its first cycle; Non-RT < 300 ms from exec to its first batch; state block < 1 us a cycle.
Beside the restarts stands a bare `python -c pass` of the same run, and CPU time, which does not
grow with the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.documents import write_admin_request
from shared.enums import Access, RegionId, Role
from shared.ring import RingReader
from shared.segment import Segment
from tests.helpers import unique_instance
from tests.processes import Place, Running, kill, started_rt, wait_for


def standby_pids(segment: Segment) -> list[int]:
    members = [segment.member_struct(index) for index in range(segment.max_members)]
    return [int(member.pid) for member in members if member.role == Role.STANDBY]


def missed(segment: Segment, epoch: int) -> int:
    """Slots without a PRIMARY before the first cycle of an epoch."""
    records = RingReader(segment, RegionId.CYCLE_RING).latest(4000).records
    cycles = records["cycle"].astype(np.int64)
    first = int(np.nonzero(records["epoch"] == epoch)[0][0])
    return int(cycles[first] - cycles[first - 1] - 1)


class Pair:
    """PRIMARY and STANDBY, each started again when it has died."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self._place, self._stack = place, stack
        self._started = 0
        self.running: dict[int, Running] = {}
        self.start()
        self.segment = wait_for(place.segment, "the segment")
        self.start()

    def start(self) -> None:
        self._started += 1
        name = f"rt{self._started}"
        one = self._stack.enter_context(started_rt(self._place, name=name))
        self.running[one.pid] = one

    def ready(self) -> tuple[int, int]:
        """pid of the PRIMARY and of the STANDBY, both at work for some cycles."""

        def look() -> tuple[int, int] | None:
            standbys, status = standby_pids(self.segment), self.segment.rt_status
            settled = status.epoch == self.segment.epoch() and status.pid in self.running
            return (int(status.pid), standbys[0]) if standbys and settled else None

        pair = wait_for(look, "PRIMARY and STANDBY")
        time.sleep(0.2)
        return pair

    def after(self, epoch: int) -> int:
        """Wait for that epoch; slots that had no PRIMARY."""
        wait_for(lambda: self.segment.rt_status.epoch >= epoch, "the successor", 20)
        time.sleep(0.05)
        return missed(self.segment, epoch)


def crash(pair: Pair, number: int) -> int:
    """A kill (or stop) of the PRIMARY at a random phase."""
    primary, _ = pair.ready()
    epoch = pair.segment.epoch()
    time.sleep(float(np.random.default_rng().random()) * 0.01)
    old = pair.running.pop(primary)
    old.signal(number)
    slots = pair.after(epoch + 1)
    kill(old)
    pair.start()
    return slots


def hand_over(pair: Pair, nonrt: Segment) -> int:
    _, standby = pair.ready()
    epoch = pair.segment.epoch()
    write_admin_request(nonrt, {"operation": "handover", "to": standby})
    return pair.after(epoch + 1)


def figures(values: list[int]) -> dict[str, Any]:
    array = np.array(values)
    return {
        "rounds": len(values),
        "p50": float(np.percentile(array, 50)),
        "p99": float(np.percentile(array, 99)),
        "max": int(array.max()),
        "none_missed_percent": round(100 * float((array == 0).mean()), 1),
        "values": values,
    }


def measure(rounds: int, stall_ms: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Place(unique_instance("bench"), Path(folder))
        place.environ["MXRC_FAILOVER_POLICY__RT_PROCESS__STALL_TIMEOUT_MS"] = str(stall_ms)
        pair = Pair(place, stack)
        pair.ready()
        with Segment.attach(place.instance, Access.NONRT) as nonrt:
            result: dict[str, Any] = {
                "stall_timeout_ms": stall_ms,
                "hand_over": figures([hand_over(pair, nonrt) for _ in range(rounds)]),
            }
        result["crash"] = figures([crash(pair, signal.SIGKILL) for _ in range(rounds)])
        result["stall"] = figures([crash(pair, signal.SIGSTOP) for _ in range(rounds)])
        return result


def state_block(folder: Path) -> dict[str, Any]:
    """ns per write: state_block.c with the sources of the core."""
    root = Path(__file__).resolve().parents[1]
    header = root / "build/c/layout_hash_generated.h"
    make = ["make", "-s", "-C", str(root / "cffi_build"), f"PYTHON={sys.executable}"]
    subprocess.run([*make, f"../build/c/{header.name}"], check=True)
    sources = sorted(str(path) for path in (root / "cffi_build/src").glob("*.c"))
    program = folder / "state_block"
    line = ["gcc", "-std=gnu11", "-O2", "-pthread", "-I", str(root / "cffi_build/include")]
    line += ["-include", str(header), str(root / "benchmarks/state_block.c"), *sources]
    subprocess.run([*line, "-o", str(program), "-lm", "-lrt"], check=True)
    done = subprocess.run([str(program)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def restarts(rounds: int) -> dict[str, dict[str, Any]]:
    """bench_startup.py: ms of restarts after kill -9, with the segment there."""
    script = Path(__file__).with_name("bench_startup.py")
    done = subprocess.run(
        [sys.executable, str(script), str(rounds)], check=True, capture_output=True, text=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row.pop("figure"): row for row in rows}


def goals(result: dict[str, Any]) -> list[tuple[str, bool]]:
    starts = result["restarts"]
    return [
        ("crash: p50 0 slots", result["crash"]["p50"] == 0),
        ("crash: p99 <= 2 slots", result["crash"]["p99"] <= 2),
        ("stall: p99 <= timeout + 2", result["stall"]["p99"] <= result["stall_timeout_ms"] + 2),
        ("hand-over: no slot", result["hand_over"]["max"] == 0),
        ("RT exec to first cycle < 500 ms", _median(starts, "mxrc-rt: exec to first cycle") < 500),
        ("Non-RT draining < 300 ms", _median(starts, "mxrc-nonrt: exec to first batch") < 300),
        ("state block < 1 us", result["state_block"]["idle"]["write_ns"] < 1000),
        ("state block, all tasks < 1 us", result["state_block"]["all_tasks"]["write_ns"] < 1000),
    ]


def _median(rows: dict[str, dict[str, Any]], name: str) -> float:
    return float(rows[name]["median_ms"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--stall-ms", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = measure(options.rounds, options.stall_ms)
    result["restarts"] = restarts(max(3, options.rounds // 2))
    with tempfile.TemporaryDirectory() as folder:
        result["state_block"] = state_block(Path(folder))
    result["load_average"] = os.getloadavg()[0]
    for name in ("hand_over", "crash", "stall"):
        row = result[name]
        print(
            f"{name:10} missed slots: p50 {row['p50']:g}, p99 {row['p99']:g}, max {row['max']}, "
            f"none in {row['none_missed_percent']} % of {row['rounds']}"
        )
    print(f"stall_timeout_ms {result['stall_timeout_ms']}; period 1 ms")
    for name, row in result["restarts"].items():
        print(f"{name:50} ms: median {row['median_ms']}, min {row['min_ms']}, max {row['max_ms']}")
    for name, row in result["state_block"].items():
        print(
            f"state block, {name:10} {row['bytes']} bytes: {row['write_ns']} ns a cycle, cold "
            f"{row['cold_ns']} ns; two copies and a CRC32C of as many bytes: "
            f"{2 * row['memcpy_ns'] + row['crc32c_ns']:.1f} ns"
        )
    for what, met in goals(result):
        print(f"goal  {what:35} {'met' if met else 'MISSED'}")
    print(f"load average of the machine: {result['load_average']:.1f} on {os.cpu_count()} CPUs")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
