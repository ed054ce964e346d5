"""Throughput and memory of mxrc-logsim, each run a process of its own that writes a file.

Figures: lines per second of elapsed time (start of the interpreter not counted: the program's own
clock) and of processor time, which a busy machine does not spoil; peak memory. With --memory-lines,
one long run with incidents and labels on, its memory looked at ten times on the way.

    python benchmarks/bench_logsim.py
    python benchmarks/bench_logsim.py --memory-lines 10000000 --json logsim.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET_LINES_PER_S = 200_000

CASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("text, default mix", ()),
    ("text, default mix, incidents, labels, ids", ("--incident", "--traceparent", "--label")),
    ("text, errors only", ("--error-rate", "1")),
    ("text, no errors", ("--error-rate", "0")),
    ("json, default mix", ("--format", "json")),
    ("ecs, default mix", ("--format", "ecs")),
    ("ecs, 2 % errors", ("--format", "ecs", "--error-rate", "0.02")),
)


@dataclass(frozen=True)
class Result:
    """One case: the best of the repetitions by elapsed time."""

    case: str
    records: int
    lines: int
    megabytes: float
    lines_per_s: float
    lines_per_cpu_s: float
    megabytes_per_s: float
    peak_mb: float


@dataclass(frozen=True)
class Memory:
    """Resident memory on the way through a long run: (lines, MB)."""

    lines: int
    seconds: float
    samples: list[tuple[int, float]]

    @property
    def growth_mb(self) -> float:
        """From the first sample, when everything is loaded and warm, to the highest after it."""
        return max(mb for _, mb in self.samples) - self.samples[0][1]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "logsim", "--interval", "0", "--seed", "1", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def measure(case: str, options: tuple[str, ...], records: int, folder: Path) -> Result:
    """Run one case once."""
    log = folder / "bench.log"
    arguments = list(options)
    if "--label" in arguments:
        arguments.insert(arguments.index("--label") + 1, str(folder / "bench.jsonl"))
    process = subprocess.Popen(
        command("--count", str(records), "--output", str(log), "--overwrite", *arguments),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr
    summary = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(r"records, ([\d,]+) lines .* ([\d,]+) lines/s", summary)
    if process.returncode or not found:
        raise SystemExit(f"{case}: status {process.returncode}: {summary}")
    lines = int(found[1].replace(",", ""))
    speed = int(found[2].replace(",", ""))
    megabytes = log.stat().st_size / 1e6
    return Result(
        case=case,
        records=records,
        lines=lines,
        megabytes=round(megabytes, 1),
        lines_per_s=speed,
        lines_per_cpu_s=round(lines / (usage.ru_utime + usage.ru_stime)),
        megabytes_per_s=round(megabytes * speed / lines, 1),
        peak_mb=round(usage.ru_maxrss / 1024, 1),
    )


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process; None when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else None


def watch_memory(lines: int, folder: Path) -> Memory:
    """One run of about `lines` lines, its size on disk kept small by rotation."""
    log = folder / "long.log"
    # The default mix has about 10.9 lines a record.
    records = lines * 10 // 109 + 1
    start = time.monotonic()
    process = subprocess.Popen(
        command(
            "--count", str(records), "--incident", "--traceparent", "--output", str(log),
            "--rotate-size", "64M", "--rotate-keep", "1", "--label", str(folder / "long.jsonl"),
            "--overwrite",
        ),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )  # fmt: skip
    samples: list[tuple[int, float]] = []
    labels = folder / "long.jsonl"
    assert process.stderr
    os.set_blocking(process.stderr.fileno(), True)
    while process.poll() is None:
        time.sleep(0.2)
        mb = resident_mb(process.pid)
        written = last_line(labels)
        if mb and written and written >= lines * (len(samples) + 1) // 11:
            samples.append((written, round(mb, 2)))
    summary = process.stderr.read()
    found = re.search(r"records, ([\d,]+) lines \(", summary)
    if process.returncode or not found or not samples:
        raise SystemExit(f"memory run: status {process.returncode}: {summary}")
    return Memory(int(found[1].replace(",", "")), round(time.monotonic() - start, 1), samples)


def last_line(labels: Path) -> int:
    """How many lines the labels written so far cover."""
    try:
        with labels.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 2000))
            found = re.findall(rb'"kind":"record".*?"last_line":(\d+)', file.read())
    except OSError:
        return 0
    return int(found[-1]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=60_000, help="records a case (60000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs a case, the best counts (3)")
    parser.add_argument("--memory-lines", type=int, default=0, help="length of the memory run")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    memory = None
    with tempfile.TemporaryDirectory(prefix="mxrc-logsim-bench-") as name:
        folder = Path(name)
        print(f"{'case':44} {'lines/s':>10} {'lines/CPU s':>12} {'MB/s':>7} {'peak MB':>8}")
        results = []
        for case, arguments in CASES:
            runs = [
                measure(case, arguments, options.records, folder) for _ in range(options.repeat)
            ]
            best = max(runs, key=lambda result: result.lines_per_s)
            results.append(best)
            print(
                f"{best.case:44} {best.lines_per_s:10,} {best.lines_per_cpu_s:12,} "
                f"{best.megabytes_per_s:7.1f} {best.peak_mb:8.1f}",
                flush=True,
            )
        if options.memory_lines:
            memory = watch_memory(options.memory_lines, folder)
            print(f"\nmemory over {memory.lines:,} lines in {memory.seconds} s:")
            for lines, mb in memory.samples:
                print(f"  {lines:12,} lines  {mb:7.2f} MB")
            print(f"  growth after the first sample: {memory.growth_mb:.2f} MB")
    headline = results[0].lines_per_s
    verdict = "reached" if headline >= TARGET_LINES_PER_S else "MISSED"
    print(f"\ntarget {TARGET_LINES_PER_S:,} lines/s to a file: {verdict} ({headline:,})")
    if options.json:
        figures = {
            "machine": {
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "load": os.getloadavg(),
            },
            "target_lines_per_s": TARGET_LINES_PER_S,
            "throughput": [asdict(result) for result in results],
            "memory": memory and {**asdict(memory), "growth_mb": round(memory.growth_mb, 2)},
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
