"""Was the machine itself late? A thread of the kernel's choice above all real-time threads says so.

A process per CPU sleeps a millisecond at a time at SCHED_FIFO 98, and notes each time that it woke
late: whatever runs below it was held up at least as long, by a hypervisor, an interrupt or
throttling. It takes some 3 % of a CPU; without the privilege it is an ordinary process and says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

PERIOD_NS: Final = 1_000_000
NOTED_NS: Final = 300_000
PRIORITY: Final = 98


class Witness:
    """`with Witness(folder) as witness`; afterwards, or meanwhile, `late_ns(begin, end)`."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / f"witness-{cpu}" for cpu in sorted(os.sched_getaffinity(0))]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Witness:
        for path in self._paths:
            cpu = path.name.rpartition("-")[2]
            self._processes.append(
                subprocess.Popen([sys.executable, "-I", __file__, cpu, str(path)])
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def late_ns(self, begin_ns: int, end_ns: int, cpu: int | None = None) -> int:
        """The longest it was held up within these times (CLOCK_MONOTONIC), on that or any CPU."""
        worst = 0
        for path in self._paths:
            if cpu is not None and path.name != f"witness-{cpu}":
                continue
            for line in path.read_text(encoding="ascii").splitlines():
                woke, late = map(int, line.split())
                if woke - late <= end_ns and woke >= begin_ns:
                    worst = max(worst, late)
        return worst

    @property
    def real_time(self) -> bool:
        """Whether it has its priority."""
        return all(os.sched_getscheduler(one.pid) == os.SCHED_FIFO for one in self._processes)


def watch(cpu: int, path: Path) -> None:
    """Until it is told to stop."""
    os.sched_setaffinity(0, {cpu})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        print("the witness runs without real-time priority", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with path.open("w", encoding="ascii", buffering=1) as file:
        while True:
            due = time.monotonic_ns() + PERIOD_NS
            time.sleep(PERIOD_NS / 1e9)
            now = time.monotonic_ns()
            if now - due > NOTED_NS:
                file.write(f"{now} {now - due}\n")


if __name__ == "__main__":
    watch(int(sys.argv[1]), Path(sys.argv[2]))
