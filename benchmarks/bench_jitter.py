"""How late the executive wakes, by wait mode, idle and under load, in turns with cyclictest.

    python benchmarks/bench_jitter.py [--cycles 10000] [--rounds 3] [--periods 1000 100]
        [--loads idle awake stress] [--modes sleep ...]
        [--lift-throttling] [--no-isolation] [--json FILE]

Each run of mxrc-rt is followed by one of cyclictest with the same policy, priority, CPU and period.
Then SC-002: sleep waiting under the same load with and without a cpuset for the RT CPU (root).
Writes build/bench-jitter.json with every run, and a plot beside it where matplotlib is there. Takes
about twelve minutes. On a loaded machine it says so; docs/benchmarks.md explains the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.jitter import summary, surroundings  # noqa: E402
from benchmarks.jitter.picture import draw  # noqa: E402
from benchmarks.jitter.sleepers import MODES, Run, cyclictest, executive  # noqa: E402
from benchmarks.jitter.summary import Pair  # noqa: E402
from shared.bench.figures import COLUMNS, Report, machine  # noqa: E402
from shared.cli.output import print_rows  # noqa: E402
from shared.core import MxrcError  # noqa: E402

POLICIES = {
    "SCHED_FIFO": {},
    "SCHED_OTHER": {
        "MXRC_CPU_AFFINITY__RT_PROCESS__POLICY": "SCHED_OTHER",
        "MXRC_CPU_AFFINITY__RT_PROCESS__PRIORITY": "0",
    },
}


LOADS: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "idle": nullcontext,
    "awake": surroundings.all_awake,
    "stress": surroundings.stressed,
}
"""What runs beside, by name."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How late the executive wakes.")
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--periods", type=int, nargs="+", default=[1000, 100], metavar="US")
    parser.add_argument(
        "--loads",
        nargs="+",
        default=["idle", "stress"],
        choices=list(LOADS),
        help="awake: idle, but a loop at SCHED_IDLE keeps every CPU from halting",
    )
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument(
        "--lift-throttling",
        action="store_true",
        help="as root: kernel.sched_rt_runtime_us = -1 meanwhile, which busy waiting needs",
    )
    parser.add_argument("--no-isolation", action="store_true", help="leave out SC-002")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench-jitter.json")
    return parser.parse_args()


def say(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr, flush=True)


def alternate(options: argparse.Namespace, load: str, skipped: list[str]) -> Iterator[Pair]:
    """All modes and periods in turn, so many rounds."""
    for turn in range(options.rounds):
        for period_us in options.periods:
            for mode in options.modes:
                say(f"{load}, {period_us} us, {mode}, round {turn + 1} of {options.rounds}")
                others = set(surroundings.real_time_threads())
                try:
                    ours = executive(mode, period_us, options.cycles)
                except MxrcError as error:
                    skipped.append(f"{mode}, {period_us} us, {load}: {error}")
                    continue
                beside = cyclictest(period_us, options.cycles, ours.cpu)
                others |= set(surroundings.real_time_threads())
                yield Pair(load, period_us, ours, beside, turn + 1, tuple(sorted(others)))


def compare_isolation(
    options: argparse.Namespace, policy: str
) -> tuple[list[Run], list[Run], list[Run]]:
    """Sleep waiting at 1 kHz, the same load, in turns: without a cpuset, with one, CPU kept awake.

    The last only as SCHED_FIFO: an ordinary thread may have to wait for the loop's time slice.
    """
    cpu = max(os.sched_getaffinity(0))
    settings = {"MXRC_CPU_AFFINITY__RT_PROCESS__CPU_CORES": f"[{cpu}]", **POLICIES[policy]}
    without, with_it, kept_awake = [], [], []
    for turn in range(options.rounds):
        say(f"isolation, {policy}, round {turn + 1} of {options.rounds}")
        with surroundings.stressed():
            without.append(executive("sleep", 1000, options.cycles, settings=settings))
        with surroundings.isolated(cpu) as (own, load), surroundings.stressed(load):
            with_it.append(executive("sleep", 1000, options.cycles, prefix=own, settings=settings))
            if policy != "SCHED_FIFO":
                continue
            with surroundings.awake(own):
                kept_awake.append(
                    executive("sleep", 1000, options.cycles, prefix=own, settings=settings)
                )
    return without, with_it, kept_awake


def main() -> None:
    options = arguments()
    report, pairs = Report(), list[Pair]()
    document: dict[str, Any] = {"machine": machine(), "cycles": options.cycles}
    before = surroundings.busy_percent()
    quiet = before <= surroundings.QUIET_PERCENT
    document["busy_percent_before"] = round(before, 1)
    for load in options.loads:
        throttling: AbstractContextManager[None] = nullcontext()
        if options.lift_throttling:
            throttling = surroundings.unthrottled()
        try:
            with throttling, LOADS[load]():
                pairs += alternate(options, load, report.skipped)
        except surroundings.NotAvailable as error:
            report.skipped.append(f"{load}: {error}")
    if not options.no_isolation:
        document["isolation"] = {}
        for policy in POLICIES:
            try:
                without, with_it, kept_awake = compare_isolation(options, policy)
            except MxrcError as error:
                report.skipped.append(f"SC-002, {policy}: {error}")
                continue
            document["isolation"][policy] = {
                "without": [run.document() for run in without],
                "with": [run.document() for run in with_it],
                "with_and_awake": [run.document() for run in kept_awake],
            }
            report.add(summary.isolation(without, with_it, kept_awake, policy))

    clean = [pair for pair in pairs if pair.clean]
    print(f"All {len(pairs)} runs")
    print_rows(summary.rows(pairs), summary.COLUMNS)
    print(f"\nWithout the {len(pairs) - len(clean)} in which cyclictest itself passed the deadline")
    print_rows(summary.rows(clean), summary.COLUMNS)
    print()
    report.add(summary.figures(pairs))
    print_rows(report.rows(), COLUMNS)
    for line in dict.fromkeys(pair.beside for pair in pairs if isinstance(pair.beside, str)):
        report.skipped.append(line)
    for line in report.skipped:
        print(f"not measured: {line}")
    if not quiet:
        print(f"NOT A QUIET MACHINE: {before:.0f} % busy before the first run")
    disturbed = sum(bool(pair.neighbours) for pair in pairs)
    if disturbed:
        print(
            f"NOT ALONE: real-time threads of other programs beside {disturbed} of {len(pairs)} "
            "runs; other instances of mxrc have their timers on the same grid"
        )
    document |= {
        **{key: value for key, value in report.as_json().items() if key != "machine"},
        "quiet": quiet,
        "all": summary.rows(pairs),
        "clean": summary.rows(clean),
        "runs": [pair.document() for pair in pairs],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.json}", file=sys.stderr)
    if pairs:
        try:
            draw(pairs, options.json.with_suffix(".png"))
        except MxrcError as error:
            print(f"no plot: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
