"""Mean time to repair of each kind of fault, and from it the availability over 30 days (SC-007).

    python benchmarks/bench_availability.py [--rounds N] [--json FILE] [--rate KIND=N ...]

`mxrc up` with the shipped policy, a task in RUNNING, one fault at a time. Down: RT is not in
RUNNING with fresh cycles, or Non-RT does not beat with all its parts; looked at every millisecond
until both have been up for two seconds. `motion` counts only the former. A rate is faults of that
kind in 30 days; the defaults are those of a bad month, and everything but the rates and the reboot
is measured. The figure takes the worst round of each kind, not the mean.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.core import now_ns
from shared.enums import Role, RtState
from shared.segment import Segment
from tests.helpers import unique_instance
from tests.processes import BIN, Place, Running, wait_for

MONTH_S = 30 * 24 * 3600
GOAL = 0.999
FRESH_NS = 20_000_000
FRESH_BEAT_NS = 200_000_000
STEADY_S = 2.0
LIMIT_S = 60.0
REBOOT_S = 180.0


@dataclass(frozen=True)
class Kind:
    """rate: in 30 days. standbys: beside the PRIMARY."""

    name: str
    rate: float
    standbys: int
    strike: Callable[[Place, Segment], None]


def _rt(number: int) -> Callable[[Place, Segment], None]:
    return lambda _place, segment: os.kill(int(segment.rt_status.pid), number)


def _nonrt(number: int) -> Callable[[Place, Segment], None]:
    return lambda _place, segment: os.kill(int(segment.nonrt_status.pid), number)


def _both(_place: Place, segment: Segment) -> None:
    for pid in (int(segment.rt_status.pid), int(segment.nonrt_status.pid)):
        os.kill(pid, signal.SIGKILL)


def _unlink(place: Place, _segment: Segment) -> None:
    (Path("/dev/shm") / f"mxrc-{place.instance}").unlink()


def _hand_over(place: Place, _segment: Segment) -> None:
    subprocess.Popen([str(BIN / "mxrc"), "failover"], env=place.environ, stdout=subprocess.DEVNULL)


KINDS = (
    Kind("rt crash", 30, 0, _rt(signal.SIGKILL)),
    Kind("rt stall", 10, 0, _rt(signal.SIGSTOP)),
    Kind("nonrt crash", 30, 0, _nonrt(signal.SIGKILL)),
    Kind("nonrt stall", 10, 0, _nonrt(signal.SIGSTOP)),
    Kind("both crash", 4, 0, _both),
    Kind("segment unlinked", 1, 0, _unlink),
    Kind("rt crash, standby", 30, 1, _rt(signal.SIGKILL)),
    Kind("rt stall, standby", 10, 1, _rt(signal.SIGSTOP)),
    Kind("hand-over", 30, 1, _hand_over),
)


class Watch:
    """Whether motion and service are up, by the segment of the instance, whichever it is."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.segment: Segment | None = None

    def look(self) -> tuple[bool, bool]:
        """(motion, service)"""
        if self.segment is None or not self.segment.current():
            self.segment = self._place.segment()
        if self.segment is None:
            return False, False
        rt, nonrt, now = self.segment.rt_status, self.segment.nonrt_status, now_ns()
        moves = rt.state == RtState.RUNNING and now - int(rt.heartbeat_ns) < FRESH_NS
        beats = bool(nonrt.ready) and now - int(nonrt.heartbeat_ns) < FRESH_BEAT_NS
        return moves, moves and beats

    def standbys(self) -> int:
        segment = self.segment
        if segment is None:
            return 0
        members = [segment.member_struct(index) for index in range(segment.max_members)]
        return sum(one.role == Role.STANDBY for one in members)

    def until_steady(self) -> tuple[float, float]:
        """Seconds without motion, and without service, until both have been steady."""
        began = last = time.monotonic()
        down = [0.0, 0.0]
        bad = last
        while last - bad < STEADY_S:
            time.sleep(0.001)
            up, now = self.look(), time.monotonic()
            for index in (0, 1):
                if not up[index]:
                    down[index] += now - last
            if not up[1]:
                bad = now
            last = now
            if last - began > LIMIT_S:
                raise SystemExit(f"not up again after {LIMIT_S:g} s")
        return down[0], down[1]


@contextmanager
def up(standbys: int) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(unique_instance("bench"), Path(folder))
        # So that a fault costs what the software needs, and not the time until a person resumes.
        place.environ["MXRC_RT_SCHEDULE__SAFE_MODE_RESUME"] = "automatic"
        for process in ("RT", "NON_RT"):
            place.environ[f"MXRC_FAILOVER_POLICY__{process}_PROCESS__MAX_RESTART_COUNT"] = "1000"
        arguments = [str(BIN / "mxrc"), "up", "--no-table", "--standbys", str(standbys)]
        running = Running(arguments, place.environ, place.folder / "up.out")
        try:
            yield place
        finally:
            running.end()


def measure(kind: Kind, rounds: int) -> list[tuple[float, float]]:
    found = []
    with up(kind.standbys) as place:
        watch = Watch(place)
        wait_for(lambda: watch.look()[1], "both processes")
        for _ in range(rounds):
            wait_for(lambda: watch.standbys() >= kind.standbys, "the standbys")
            watch.until_steady()
            segment = watch.segment
            assert segment is not None
            kind.strike(place, segment)
            found.append(watch.until_steady())
    return found


def availability(down_s: float) -> float:
    return 1 - down_s / MONTH_S


def evaluate(
    measured: dict[str, list[tuple[float, float]]], rates: dict[str, float]
) -> dict[str, Any]:
    """Figures by kind, and the sums with and without a standby."""
    rows = {}
    for kind in KINDS:
        if kind.name not in measured:
            continue
        motion, service = zip(*measured[kind.name], strict=True)
        rows[kind.name] = {
            "rounds": len(service),
            "repair_mean_s": fmean(service),
            "repair_max_s": max(service),
            "motion_mean_s": fmean(motion),
            "motion_max_s": max(motion),
            "per_30_days": rates[kind.name],
            "down_s_in_30_days": rates[kind.name] * max(service),
        }
    reboot = rates["reboot"] * REBOOT_S
    others = {name: row["down_s_in_30_days"] for name, row in rows.items()}
    alone = sum(others.get(kind.name, 0.0) for kind in KINDS if kind.standbys == 0) + reboot
    pair = alone
    for name in ("rt crash", "rt stall"):
        pair += others.get(f"{name}, standby", 0.0) - others.get(name, 0.0)
    pair += others.get("hand-over", 0.0)
    slowest = max((row["repair_max_s"] for row in rows.values()), default=0.0)
    return {
        "kinds": rows,
        "reboot": {"per_30_days": rates["reboot"], "assumed_s": REBOOT_S},
        "down_s_in_30_days": {"no standby": alone, "one standby": pair},
        "availability": {"no standby": availability(alone), "one standby": availability(pair)},
        "budget_s": (1 - GOAL) * MONTH_S,
        "slowest_faults_within_budget": int((1 - GOAL) * MONTH_S / slowest) if slowest else None,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--rate", action="append", default=[], metavar="KIND=N", help="faults in 30 days"
    )
    options = parser.parse_args()
    rates = {kind.name: kind.rate for kind in KINDS} | {"reboot": 2.0}
    for text in options.rate:
        name, equals, value = text.partition("=")
        if name not in rates or not equals:
            parser.error(f"--rate {text}: must be one of {', '.join(rates)}, then =N")
        rates[name] = float(value)
    measured = {}
    for kind in KINDS:
        measured[kind.name] = measure(kind, options.rounds)
        service = [one[1] for one in measured[kind.name]]
        print(
            f"{kind.name:18} repaired in {fmean(service):6.3f} s, at most {max(service):6.3f} s; "
            f"without motion {fmean([one[0] for one in measured[kind.name]]):6.3f} s",
            flush=True,
        )
    result = evaluate(measured, rates)
    result["load_average"] = os.getloadavg()[0]
    rate_text = ", ".join(f"{value:g} x {name}" for name, value in rates.items())
    print(f"assumed in 30 days: {rate_text} of {REBOOT_S:g} s")
    for name, value in result["availability"].items():
        down = result["down_s_in_30_days"][name]
        verdict = "met" if value >= GOAL else "MISSED"
        print(f"{name}: {down:.0f} s down, {value:.5%} available; goal {GOAL:.1%} {verdict}")
    print(
        f"{GOAL:.1%} leaves {result['budget_s']:.0f} s: "
        f"{result['slowest_faults_within_budget']} faults of the slowest kind"
    )
    print(f"load average of the machine: {result['load_average']:.1f} on {os.cpu_count()} CPUs")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
