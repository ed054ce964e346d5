"""Part `logs`: rt_process.log, non_rt_process.log, their levels, health, figures, search."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from nonrt_process.context import Context
from nonrt_process.early_drain import EarlyDrain
from nonrt_process.interfaces import LogFiles, LogStatistics
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.first_line import first_line
from nonrt_process.logs.index import LogIndex
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.otlp_shipper import PROCESSES, OtlpShipper
from nonrt_process.logs.process_log import PYTHON_LEVELS, ProcessLog
from nonrt_process.logs.rt_writer import RtWriter, make_rt_writer, say
from nonrt_process.otlp_http import HttpTransport
from nonrt_process.plugins import Plugin
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
        rt = _rt_writer(context)
        self._statistics = rt.statistics
        own_file = _own_file(context)
        self._files = [rt.file, own_file]
        own_health = FileHealth("non_rt_log_file", own_file.path, say)
        self._process_log = ProcessLog(
            own_file,
            own_health,
            self._statistics,
            context.clock,
            context.instance,
            config.backlog_lines,
        )
        paths = context.config.current.paths
        self._index = LogIndex(
            paths.data_dir / f"logs-{context.instance}.sqlite3", paths.log_dir, context.clock
        )
        self._shipper = _shipper(context) if config.otlp.enabled else None
        super().__init__(
            "logs",
            consumers=[rt.consumer],
            routers=self._make_routers,
            metrics=[] if self._shipper is None else [self._shipper],
            health_checks=[rt.health, own_health, self._index],
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
        if self._shipper is not None:
            self._shipper.start()  # first: all that the others write is delivered
        self._process_log.start()
        self._index.start()

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


def _rt_writer(context: Context) -> RtWriter:
    """The one that writes already, where there is one."""
    log_dir = context.config.current.paths.log_dir
    early = context.get(EarlyDrain)
    if early is not None and early.writer.file.path.parent == log_dir:
        return early.writer
    return make_rt_writer(log_dir, context.instance, context.clock)


def _own_file(context: Context) -> LogFile:
    config = context.config.current
    rotation = config.logging.rotation
    return LogFile(
        config.paths.log_dir / "non_rt_process.log",
        context.clock,
        lambda: first_line("non_rt_process", context.instance, context.clock),
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
