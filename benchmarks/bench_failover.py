"""Missed cycles and times of crash, stall and hand-over; restarts; the cost of the state block.

    python benchmarks/bench_failover.py [--rounds N] [--json FILE]

Real processes. Missed: slots of the time grid without a PRIMARY. Goals at 1 kHz: crash p50 0, p99
at most 2; stall p99 at most stall_timeout + 2 cycles; hand-over 0; cold restart of RT < 500 ms from
exec to its first cycle; Non-RT < 300 ms from exec to its first batch; state block < 1 us a cycle.
Beside the restarts stands a bare `python -c pass` of the same run, and CPU time, which does not
grow with the load of the machine. Beside the missed slots stands witness.py: a take-over in which
threads above all real-time ones were held up for half a period is told apart, and each goal on
slots is judged twice, over all rounds and over those in which the machine itself was on time.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.witness import Witness
from shared.documents import write_admin_request
from shared.enums import Access, RegionId, Role
from shared.ring import RingReader
from shared.segment import Segment
from tests.helpers import unique_instance
from tests.processes import Place, Running, kill, started_rt, wait_for

LATE_NS: Final = 500_000
"""Of a witness: half a period."""


@dataclass(frozen=True)
class Round:
    """slots: missed. machine_late_ns: how long a witness was held up from the last cycle of the old
    PRIMARY (in a stall: from shortly before it is judged) to the first of the new one.
    """

    slots: int
    machine_late_ns: int

    @property
    def on_time(self) -> bool:
        """Whether the machine was."""
        return self.machine_late_ns <= LATE_NS


def standby_pids(segment: Segment) -> list[int]:
    members = [segment.member_struct(index) for index in range(segment.max_members)]
    return [int(member.pid) for member in members if member.role == Role.STANDBY]


def gap(segment: Segment, epoch: int) -> tuple[int, int, int]:
    """Slots without a PRIMARY before the first cycle of an epoch; when the last cycle of the old
    one ended and the first of the new one (CLOCK_MONOTONIC, ns).
    """
    records = RingReader(segment, RegionId.CYCLE_RING).latest(4000).records
    first = int(np.nonzero(records["epoch"] == epoch)[0][0])
    old, new = records[first - 1], records[first]
    return int(new["cycle"]) - int(old["cycle"]) - 1, int(old["end_ns"]), int(new["end_ns"])


class Pair:
    """PRIMARY and STANDBY, each started again when it has died."""

    def __init__(self, place: Place, stack: ExitStack, witness: Witness) -> None:
        self._place, self._stack, self._witness = place, stack, witness
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

    def after(self, epoch: int, unjudged_ns: int = 0) -> Round:
        """Wait for that epoch. unjudged_ns: how long the old one may be silent."""
        wait_for(lambda: self.segment.rt_status.epoch >= epoch, "the successor", 20)
        time.sleep(0.05)
        slots, begin, end = gap(self.segment, epoch)
        return Round(slots, self._witness.late_ns(begin + unjudged_ns, end))


def crash(pair: Pair, number: int, unjudged_ns: int = 0) -> Round:
    """A kill (or stop) of the PRIMARY at a random phase."""
    primary, _ = pair.ready()
    epoch = pair.segment.epoch()
    time.sleep(float(np.random.default_rng().random()) * 0.01)
    old = pair.running.pop(primary)
    old.signal(number)
    seen = pair.after(epoch + 1, unjudged_ns)
    kill(old)
    pair.start()
    return seen


def hand_over(pair: Pair, nonrt: Segment) -> Round:
    _, standby = pair.ready()
    epoch = pair.segment.epoch()
    write_admin_request(nonrt, {"operation": "handover", "to": standby})
    return pair.after(epoch + 1)


def percentiles(values: list[int]) -> dict[str, Any]:
    array = np.array(values)
    if not len(array):
        return {"rounds": 0}
    p50, p90, p99 = (float(np.percentile(array, share)) for share in (50, 90, 99))
    return {"rounds": len(values), "p50": p50, "p90": p90, "p99": p99, "max": int(array.max())}


def figures(rounds: list[Round]) -> dict[str, Any]:
    """Over all, over those with the machine on time, and how often which count."""
    slots = [one.slots for one in rounds]
    return {
        **percentiles(slots),
        "on_time": percentiles([one.slots for one in rounds if one.on_time]),
        "counts": {str(value): slots.count(value) for value in sorted(set(slots))},
        "machine_late_us": [round(one.machine_late_ns / 1e3) for one in rounds],
        "values": slots,
    }


def measure(rounds: int, stall_ms: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Place(unique_instance("bench"), Path(folder))
        place.environ["MXRC_FAILOVER_POLICY__RT_PROCESS__STALL_TIMEOUT_MS"] = str(stall_ms)
        witness = stack.enter_context(Witness(Path(folder)))
        pair = Pair(place, stack, witness)
        pair.ready()
        result: dict[str, Any] = {"stall_timeout_ms": stall_ms, "witness_rt": witness.real_time}
        with Segment.attach(place.instance, Access.NONRT) as nonrt:
            result["hand_over"] = figures([hand_over(pair, nonrt) for _ in range(rounds)])
        result["crash"] = figures([crash(pair, signal.SIGKILL) for _ in range(rounds)])
        # Until then the old one is silent and nobody judges it.
        silent = round(max(0.0, stall_ms - 2) * 1e6)
        result["stall"] = figures([crash(pair, signal.SIGSTOP, silent) for _ in range(rounds)])
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
    starts, limit = result["restarts"], result["stall_timeout_ms"] + 2
    slots: list[tuple[str, bool]] = []
    for words, part in (("all rounds", None), ("machine on time", "on_time")):
        crash, stall, over = (
            result[name] if part is None else result[name][part]
            for name in ("crash", "stall", "hand_over")
        )
        for what, row, key, bound in (
            ("crash: p50 0 slots", crash, "p50", 0),
            ("crash: p99 <= 2 slots", crash, "p99", 2),
            (f"stall: p99 <= {limit} slots", stall, "p99", limit),
            ("hand-over: no slot", over, "max", 0),
        ):
            if row["rounds"]:
                slots.append((f"{what}, {words}", row[key] <= bound))
    return [
        *slots,
        ("RT exec to first cycle < 500 ms", _median(starts, "mxrc-rt: exec to first cycle") < 500),
        ("Non-RT draining < 300 ms", _median(starts, "mxrc-nonrt: exec to first batch") < 300),
        ("state block < 1 us", result["state_block"]["idle"]["write_ns"] < 1000),
        ("state block, all tasks < 1 us", result["state_block"]["all_tasks"]["write_ns"] < 1000),
    ]


def _median(rows: dict[str, dict[str, Any]], name: str) -> float:
    return float(rows[name]["median_ms"])


def _say_slots(name: str, row: dict[str, Any]) -> None:
    for words, part in (("all", row), ("machine on time", row["on_time"])):
        if not part["rounds"]:
            print(f"{name:10} {words:16} no round")
            continue
        print(
            f"{name:10} {words:16} missed slots: p50 {part['p50']:g}, p90 {part['p90']:g}, "
            f"p99 {part['p99']:g}, max {part['max']}; {part['rounds']} rounds"
        )
    counts = ", ".join(f"{value}: {count}" for value, count in row["counts"].items())
    print(f"{'':10} rounds by missed slots: {counts}")
    late = row["rounds"] - row["on_time"]["rounds"]
    print(f"{'':10} the machine was late in {late}, {max(row['machine_late_us'])} us at worst")


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
        _say_slots(name, result[name])
    print(f"stall_timeout_ms {result['stall_timeout_ms']}; period 1 ms")
    if not result["witness_rt"]:
        print("the witness had no real-time priority: it was late with every ordinary process")
    for name, row in result["restarts"].items():
        print(f"{name:50} ms: median {row['median_ms']}, min {row['min_ms']}, max {row['max_ms']}")
    for name, row in result["state_block"].items():
        print(
            f"state block, {name:10} {row['bytes']} bytes: {row['write_ns']} ns a cycle, cold "
            f"{row['cold_ns']} ns; two copies and a CRC32C of as many bytes: "
            f"{2 * row['memcpy_ns'] + row['crc32c_ns']:.1f} ns"
        )
    for what, met in goals(result):
        print(f"goal  {what:42} {'met' if met else 'MISSED'}")
    print(f"load average of the machine: {result['load_average']:.1f} on {os.cpu_count()} CPUs")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
