"""The line that a log file begins with."""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timezone

from nonrt_process.interfaces import ProcessName
from nonrt_process.logs import ecs
from shared.clock import Clock


def first_line(process: ProcessName, instance: str, clock: Clock) -> bytes:
    """Its id makes the file differ from any other file."""
    moment = datetime.fromtimestamp(clock.realtime_ns() / 1e9, timezone.utc)
    return ecs.encode(
        {
            ecs.TIMESTAMP: moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            ecs.LEVEL: "info",
            ecs.MESSAGE: "Log file begun",
            ecs.LOGGER: "nonrt.logs",
            ecs.PROCESS_NAME: process,
            ecs.PROCESS_PID: os.getpid() if process == "non_rt_process" else None,
            ecs.ECS: ecs.ECS_VERSION,
            ecs.EVENT_KIND: "event",
            ecs.FILE_ID: uuid.uuid4().hex,
            ecs.LABELS: {"instance": instance},
        }
    )
