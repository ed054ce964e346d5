"""Latency of local against remote memory, by a chase of pointers through pages bound to a node.

    python benchmarks/bench_numa.py [--mib 64] [--hops 1048576] [--rounds 5] [--json FILE]

Every node's highest CPU with every node's memory, in turns; where the pages really are is checked.
Says so where there is one node. Writes build/bench-numa.json. docs/benchmarks.md explains it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from shared.bench import numa  # noqa: E402
from shared.bench.figures import COLUMNS, Report  # noqa: E402
from shared.cli.output import print_rows  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency of local against remote memory.")
    parser.add_argument("--mib", type=int, default=numa.BYTES >> 20)
    parser.add_argument("--hops", type=int, default=numa.HOPS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench-numa.json")
    options = parser.parse_args()
    report = Report()
    figures, runs, report.skipped = numa.latencies(options.mib << 20, options.hops, options.rounds)
    report.add(figures)
    print_rows(report.rows(), COLUMNS)
    for line in report.skipped:
        print(f"not measured: {line}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    document = {**report.as_json(), "bytes": options.mib << 20, "runs": runs}
    options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
