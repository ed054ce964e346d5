"""The part of the benchmarks that `mxrc bench` and benchmarks/bench_core.py share."""

from __future__ import annotations

from collections.abc import Callable

from shared.bench import processes, rings
from shared.bench.arena import cpus
from shared.bench.figures import Report
from shared.core import MxrcError


def basic(report: Report, say: Callable[[str], None], *, thorough: bool = False) -> None:
    """Rings, latency, wake-up, cost at 1 kHz, into `report`; say: told what is measured now.

    About half a minute; thorough: about two minutes.
    """
    say("publishing")
    report.add(rings.publish(101 if thorough else 25))
    report.add(rings.paced(rounds=15 if thorough else 5))
    say("reading in batches")
    report.add(rings.batch_read(200 if thorough else 40))
    if cpus() is None:
        report.skipped.append("latency between processes: it needs two CPUs")
    else:
        say("from process to process")
        report.add(rings.latency(45 if thorough else 15))
        report.add(rings.one_way())
    try:
        say("wake-ups")
        figures, missing = processes.wakeups(12 if thorough else 4, 1.5 if thorough else 1.0)
        report.add(figures)
        if missing:
            report.skipped.append(f"comparison with cyclictest: {missing}")
        say("both processes at 1 kHz")
        report.add(processes.cost(seconds=30 if thorough else 8))
    except MxrcError as error:
        report.skipped.append(f"both processes: {error}")
