"""What is said to a person: one line each on stderr, so in the journal.

A thread writes, because a full pipe must hold up nobody. Tracebacks go to the log file only.
"""

from __future__ import annotations

import logging
import queue
import sys
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener

BACKLOG_LINES = 1000


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname}: "
        return f"mxrc-nonrt: {level}{record.getMessage()}"


class _Handler(QueueHandler):
    """Own records from INFO on, of libraries from WARNING on; a full queue drops."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def filter(self, record: logging.LogRecord) -> bool:
        own = record.name.partition(".")[0] == "nonrt"
        return record.levelno >= (logging.INFO if own else logging.WARNING)

    def enqueue(self, record: logging.LogRecord) -> None:
        with suppress(queue.Full):  # the log file has it
            self.queue.put_nowait(record)


def log_to_stderr() -> QueueListener:
    """Begin; `stop()` of what is returned writes what is left."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue(BACKLOG_LINES)
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Line())
    listener = QueueListener(lines, stream)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(_Handler(lines))
    listener.start()
    return listener
