"""This process's own log: stdlib logging -> bounded queue -> one thread -> non_rt_process.log.

Who logs never waits for the disk: a record is completed in its own thread (message, stack trace,
thread, trace context), queued, and written by the thread here. While the disk does not take lines,
they wait in memory up to a bound; then the oldest are dropped, and a line says how many.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, Final

from pythonjsonlogger.orjson import OrjsonFormatter

from nonrt_process.interfaces import request_id
from nonrt_process.logs import ecs
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.statistics import Statistics
from shared.clock import Clock

PROCESS_NAME: Final = "non_rt_process"
TRACE_LEVEL: Final = 5
PYTHON_LEVELS: Final = {
    "trace": TRACE_LEVEL,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
RETRY_S: Final = 1.0
_BATCH: Final = 1000
_THREAD: Final = "process-log"
_STANDARD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
)


def level_name(number: int) -> str:
    """Level of the log files for a level of stdlib logging."""
    for name in reversed(ecs.LEVELS):
        if number >= PYTHON_LEVELS[name]:
            return name
    return "trace"


class EcsFormatter(OrjsonFormatter):
    """A LogRecord as an ECS document.

    Fields given as `extra` go into the document as they are when they are ECS fields or begin with
    "mxrc."; any other becomes a label.
    """

    def __init__(self, instance: str) -> None:
        super().__init__()
        self._instance = instance
        self._pid = os.getpid()

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill `log_data`; a message that is a dict gives further fields."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        message = record.getMessage() if not isinstance(record.msg, dict) else ""
        log_data.update(
            {
                ecs.TIMESTAMP: moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                ecs.LEVEL: level_name(record.levelno),
                ecs.MESSAGE: message,
                ecs.LOGGER: record.name,
                ecs.PROCESS_NAME: PROCESS_NAME,
                ecs.PROCESS_PID: record.process or self._pid,
                ecs.THREAD_ID: getattr(record, "native_thread", record.thread),
                ecs.THREAD_NAME: record.threadName,
                ecs.ECS: ecs.ECS_VERSION,
                ecs.EVENT_KIND: "event",
            }
        )
        labels = {"instance": self._instance}
        given = {**message_dict, **vars(record)}
        for key, value in given.items():
            if key in log_data or key in _STANDARD or key == "native_thread" or value is None:
                continue
            if key in ecs.FIELDS or str(key).startswith("mxrc."):
                log_data[key] = value
            else:
                labels[str(key)] = ecs.text_of(value)
        log_data[ecs.LABELS] = labels
        if record.exc_info and record.exc_info[1] is not None:
            log_data.update(error_fields(record.exc_info[1]))
            log_data[ecs.ERROR_STACK] = self.formatException(record.exc_info)
        elif record.stack_info:
            log_data[ecs.ERROR_STACK] = record.stack_info

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """The line, without its end; never fails."""
        return ecs.encode(log_data)[:-1].decode()


def error_fields(error: BaseException) -> dict[str, str]:
    """error.type and error.message of an exception."""
    kind = type(error)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return {ecs.ERROR_TYPE: name, ecs.ERROR_MESSAGE: ecs.text_of(error)}


class _QueueHandler(logging.Handler):
    """Completes a record in the thread that made it and hands it over."""

    def __init__(self, put: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._put = put
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        # The writer's own troubles would feed on themselves; FileHealth tells of them.
        if threading.current_thread().name != _THREAD:
            self._put(self._complete(record))

    def _complete(self, record: logging.LogRecord) -> logging.LogRecord:
        done = copy.copy(record)
        if not isinstance(record.msg, dict):
            try:
                done.msg = record.getMessage()
            except Exception as error:  # noqa: BLE001 - wrong arguments must not cost the line
                arguments = record.args if isinstance(record.args, tuple) else (record.args,)
                parts = [ecs.text_of(part) for part in (record.msg, *arguments)]
                done.msg = f"{' | '.join(parts)} (not formatted: {ecs.text_of(error)})"
        done.args = None
        done.__dict__["native_thread"] = threading.get_native_id()
        # As long as nobody has imported it there is no span to be in.
        trace = sys.modules.get("opentelemetry.trace")
        get_current_span = getattr(trace, "get_current_span", None)
        context = get_current_span().get_span_context() if get_current_span else None
        if context is not None and context.is_valid and ecs.TRACE_ID not in done.__dict__:
            done.__dict__[ecs.TRACE_ID] = f"{context.trace_id:032x}"
            done.__dict__[ecs.SPAN_ID] = f"{context.span_id:016x}"
        request = request_id.get()
        if request is not None:
            done.__dict__.setdefault(ecs.HTTP_REQUEST_ID, request)
        if record.exc_info and record.exc_info[1] is not None:
            done.__dict__.update(error_fields(record.exc_info[1]))
            with suppress(Exception):
                stack = self._formatter.formatException(record.exc_info)
                done.__dict__[ecs.ERROR_STACK] = stack
            done.exc_info = None  # do not keep frames alive
        return done


class ProcessLog:
    """The writer of non_rt_process.log; its `handler` is to be added to the root logger."""

    def __init__(
        self,
        file: LogFile,
        health: FileHealth,
        statistics: Statistics,
        clock: Clock,
        instance: str,
        backlog_lines: int,
    ) -> None:
        self.handler: Final[logging.Handler] = _QueueHandler(self._put)
        self._file = file
        self._health = health
        self._statistics = statistics
        self._clock = clock
        self._formatter = EcsFormatter(instance)
        self._waiting: deque[logging.LogRecord] = deque()
        self._bound = backlog_lines
        self._dropped = 0
        self._condition = threading.Condition()
        self._ending = False
        self._woken = False
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)

    def start(self) -> None:
        """Start writing; what was logged before is not lost."""
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Write what is waiting, as far as the disk takes it."""
        with self._condition:
            self._ending = True
            self._condition.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def wake(self) -> None:
        """Look at the file now, also when nothing is waiting."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def _put(self, record: logging.LogRecord) -> None:
        with self._condition:
            if len(self._waiting) >= self._bound:
                self._waiting.popleft()
                self._dropped += 1
                self._statistics.count_dropped("non_rt_process", 1)
            self._waiting.append(record)
            if len(self._waiting) == 1:
                self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._waiting and not self._ending and not self._woken:
                    self._condition.wait(10.0)
                self._woken = False
                ending = self._ending
            worked = self.write_waiting()
            if ending and (not worked or not self._waiting):
                break
            if not worked:
                with self._condition:
                    if not self._ending:
                        self._condition.wait_for(lambda: self._ending, RETRY_S)
        self._file.close()

    def write_waiting(self) -> bool:
        """Write what is waiting, one write a batch; False when the disk did not take it."""
        while True:
            with self._condition:
                count = min(len(self._waiting), _BATCH)
                batch = [self._waiting.popleft() for _ in range(count)]
                dropped, self._dropped = self._dropped, 0
            if dropped:
                batch.insert(0, self._lost(dropped))
            try:
                self._file.tick()
                if batch:
                    self._file.append(b"".join(map(self._line, batch)))
                    self._health.worked()
            except OSError as error:
                self._health.failed(error)
                self._put_back(batch[1:] if dropped else batch, dropped)
                return False
            for record in batch:
                self._statistics.count_level(level_name(record.levelno))
            if not batch:
                return True

    def _put_back(self, batch: list[logging.LogRecord], dropped: int) -> None:
        with self._condition:
            keep = max(0, self._bound - len(self._waiting))
            excess = max(0, len(batch) - keep)
            self._waiting.extendleft(reversed(batch[excess:]))
            self._dropped += dropped + excess
        if excess:
            self._statistics.count_dropped("non_rt_process", excess)

    def _line(self, record: logging.LogRecord) -> bytes:
        return self._formatter.format(record).encode() + b"\n"

    def _lost(self, count: int) -> logging.LogRecord:
        return logging.makeLogRecord(
            {
                "name": "nonrt.logs",
                "levelno": logging.ERROR,
                "msg": f"{count} log lines were dropped: the log file did not take them in time",
                "created": self._clock.realtime_ns() / 1e9,
                "threadName": _THREAD,
                ecs.LOST: count,
            }
        )
