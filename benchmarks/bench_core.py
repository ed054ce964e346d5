"""All benchmarks of the core; takes some minutes. `mxrc bench` is the short form.

    python benchmarks/bench_core.py [--json FILE]

Writes build/bench-core.json. docs/benchmarks.md explains the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.core import alternatives  # noqa: E402
from shared.bench import processes, rings  # noqa: E402
from shared.bench.figures import COLUMNS, Report, machine  # noqa: E402
from shared.bench.run import basic  # noqa: E402
from shared.cli.output import print_rows  # noqa: E402
from shared.core import MxrcError  # noqa: E402

RING_SLOTS = (64, 1024, 65536)
PERIODS_US = (500, 200, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description="All benchmarks of the core.")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench-core.json")
    options = parser.parse_args()
    before = machine()

    def say(what: str) -> None:
        print(f"  {what} ...", file=sys.stderr, flush=True)

    report = Report()
    basic(report, say, thorough=True)
    say("ring sizes")
    for slots in RING_SLOTS:
        report.add(rings.publish(slots=slots))
    say("readers")
    for readers in (0, 1, 3):
        report.add(rings.with_readers(readers))
    for period_us in PERIODS_US:
        say(f"both processes with a period of {period_us} us")
        try:
            report.add(processes.cost(period_us))
        except MxrcError as error:
            report.skipped.append(f"period {period_us} us: {error}")
    say("other ways")
    figures, skipped = alternatives.compare()
    report.add(figures)
    report.skipped += skipped

    print_rows(report.rows(), COLUMNS)
    for line in report.skipped:
        print(f"not measured: {line}")
    document = {**report.as_json(), "machine": before}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
