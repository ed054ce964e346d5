"""Part `logs`: rt_process.log, non_rt_process.log, their levels, health, figures, search."""

from __future__ import annotations

import logging
import os
import socket
import sys
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from nonrt_process.context import Context
from nonrt_process.interfaces import LogFiles, LogStatistics, ProcessName
from nonrt_process.logs import ecs
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.index import LogIndex
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.otlp_shipper import PROCESSES, OtlpShipper
from nonrt_process.logs.process_log import PYTHON_LEVELS, ProcessLog
from nonrt_process.logs.rt_log import RtLog
from nonrt_process.logs.statistics import Statistics
from nonrt_process.otlp_http import HttpTransport
from nonrt_process.plugins import Plugin
from shared.clock import Clock
from shared.config.models.logging import LoggingConfig

if TYPE_CHECKING:
    from fastapi import APIRouter


def create(context: Context) -> Plugin:
    """Make the part; from here on nothing that is logged gets lost."""
    return LogsPlugin(context)


class LogsPlugin(Plugin):
    """See the module."""

    def __init__(self, context: Context) -> None:
        config = context.config.current.logging
        self._statistics = Statistics()
        self._files = [_log_file(context, name) for name in ("rt_process", "non_rt_process")]
        rt_file, own_file = self._files
        rt_health = FileHealth("rt_log_file", rt_file.path, _say)
        own_health = FileHealth("non_rt_log_file", own_file.path, _say)
        self._process_log = ProcessLog(
            own_file,
            own_health,
            self._statistics,
            context.clock,
            context.instance,
            config.backlog_lines,
        )
        consumer = RtLog(rt_file, rt_health, self._statistics, context.clock, context.instance)
        paths = context.config.current.paths
        self._index = LogIndex(
            paths.data_dir / f"logs-{context.instance}.sqlite3", paths.log_dir, context.clock
        )
        self._shipper = _shipper(context) if config.otlp.enabled else None
        super().__init__(
            "logs",
            consumers=[consumer],
            routers=self._make_routers,
            metrics=[] if self._shipper is None else [self._shipper],
            health_checks=[rt_health, own_health, self._index],
        )
        context.provide(LogStatistics, self._statistics)
        context.provide(LogFiles, self)
        context.config.subscribe("logging", commit=self._apply)
        self._apply(config, config)
        logging.getLogger().addHandler(self._process_log.handler)

    def _make_routers(self) -> list[APIRouter]:
        from nonrt_process.logs.router import make_router

        return [make_router(self._index)]

    def start(self) -> None:
        """Begin to write."""
        self._process_log.start()
        self._index.start()
        if self._shipper is not None:
            self._shipper.start()

    def reopen(self) -> None:
        for file in self._files:
            file.ask_reopen()
        self._process_log.wake()

    def stop(self) -> None:
        """Write what is waiting."""
        self._index.stop()
        logging.getLogger().removeHandler(self._process_log.handler)
        self._process_log.stop()
        self._files[0].close()
        if self._shipper is not None:
            self._shipper.stop()

    def _apply(self, old: LoggingConfig, new: LoggingConfig) -> None:
        """Put levels and rotation in force."""
        for name in old.loggers:
            logging.getLogger(name).setLevel(logging.NOTSET)
        logging.getLogger().setLevel(PYTHON_LEVELS[new.level])
        for name, level in new.loggers.items():
            logging.getLogger(name).setLevel(PYTHON_LEVELS[level])
        for file in self._files:
            file.max_bytes = new.rotation.max_bytes
            file.max_age_hours = new.rotation.max_age_hours
            file.total_quota_bytes = new.rotation.total_quota_bytes


def _log_file(context: Context, process: ProcessName) -> LogFile:
    config = context.config.current
    rotation = config.logging.rotation
    return LogFile(
        config.paths.log_dir / f"{process}.log",
        context.clock,
        lambda: first_line(process, context.instance, context.clock),
        max_bytes=rotation.max_bytes,
        max_age_hours=rotation.max_age_hours,
        total_quota_bytes=rotation.total_quota_bytes,
    )


def _shipper(context: Context) -> OtlpShipper:
    config = context.config.current
    endpoint = config.logging.otlp.endpoint
    host = socket.gethostname()
    # As the spans have it, so that a receiver can put them together.
    resources = {
        process: {
            "service.name": config.tracing_config.service_name,
            "service.namespace": "mxrc",
            "service.instance.id": f"{context.instance}/{process}@{host}",
            "host.name": host,
        }
        for process in PROCESSES
    }
    return OtlpShipper(
        config.paths.log_dir,
        config.paths.data_dir / f"otlp-logs-{context.instance}.json",
        lambda: HttpTransport(endpoint, "/v1/logs"),
        resources,
        config.logging.otlp.level,
        context.clock,
        logging.getLogger("nonrt.logs"),
        endpoint,
    )


def first_line(process: ProcessName, instance: str, clock: Clock) -> bytes:
    """The line that a file begins with; its id makes it differ from that of any other file."""
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


def _say(line: str) -> None:
    """To the journal; the log file itself may be what is broken."""
    sys.stderr.write(f"mxrc-nonrt: {line}\n")
    sys.stderr.flush()
