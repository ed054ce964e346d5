"""What writes the RT log: the file, its health, the figures, the consumer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NamedTuple

from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.first_line import first_line
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.rt_log import RtLog
from nonrt_process.logs.statistics import Statistics
from shared.clock import Clock

UNLIMITED: Final = 1 << 62


class RtWriter(NamedTuple):
    """See the module."""

    file: LogFile
    health: FileHealth
    statistics: Statistics
    consumer: RtLog


def make_rt_writer(log_dir: Path, instance: str, clock: Clock) -> RtWriter:
    """It neither rotates nor deletes before the limits of `file` are set."""
    file = LogFile(
        log_dir / "rt_process.log",
        clock,
        lambda: first_line("rt_process", instance, clock),
        max_bytes=UNLIMITED,
        max_age_hours=float("inf"),
        total_quota_bytes=UNLIMITED,
    )
    health = FileHealth("rt_log_file", file.path, say)
    statistics = Statistics()
    return RtWriter(file, health, statistics, RtLog(file, health, statistics, clock, instance))


def say(line: str) -> None:
    """To the journal; the log file itself may be what is broken."""
    sys.stderr.write(f"mxrc-nonrt: {line}\n")
    sys.stderr.flush()
