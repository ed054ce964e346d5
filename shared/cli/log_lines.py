"""Log lines for people: as text, from the files, followed as they are written."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

from shared.cli.errors import CommandError
from shared.cli.output import cell
from shared.log_files import log_files
from shared.wall_time import realtime_ns

LEVELS: Final = ("trace", "debug", "info", "warn", "error", "critical")
PROCESSES: Final = ("rt_process", "non_rt_process")
POLL_S: Final = 0.2
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHOWN: Final = ("mxrc.task_id", "mxrc.action_id", "mxrc.suppressed", "trace.id", "error.type")

Document = Mapping[str, Any]
Filter = Callable[[Document], bool]


def seconds_of(text: str, now: float) -> float:
    """Seconds since 1970 of `90s`, `15m`, `1h`, `2d` ago or of an ISO 8601 time (UTC without zone).

    Raises:
        CommandError: it is neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found:
        return max(0.0, now - float(found[1]) * _UNITS[found[2]])
    try:
        return realtime_ns(text) / 1e9
    except ValueError:
        raise CommandError(
            f"time {text!r}: give an age (90s, 15m, 1h, 2d) or a time (2026-01-31T10:00:00Z)"
        ) from None


def text_of(document: Document) -> str:
    """One line for a person; what a terminal would take for a command is shown escaped."""
    extra = " ".join(
        f"{name.rpartition('.')[2] if name != 'trace.id' else 'trace'}={cell(document[name])}"
        for name in _SHOWN
        if name in document
    )
    parts = (
        cell(document.get("@timestamp", "")),
        cell(document.get("log.level", "")).upper().ljust(8),
        cell(document.get("log.logger", "")).ljust(12),
        cell(document.get("message", "")),
        f"({extra})" if extra else "",
    )
    return " ".join(parts).rstrip()


def make_filter(
    *,
    text: str | None = None,
    since: float | None = None,
    level: str | None = None,
    task: str | None = None,
    trace: str | None = None,
    process: str | None = None,
) -> Filter:
    """What the options of the verbs mean for a document that was read from a file."""
    words = [word.strip('"*').lower() for word in re.findall(r'"[^"]*"|\S+', text or "")]
    lowest = LEVELS.index(level) if level is not None else 0

    def fits(document: Document) -> bool:
        shown = document.get("log.level")
        if shown not in LEVELS or LEVELS.index(shown) < lowest:
            return False
        if task is not None and document.get("mxrc.task_id") != task:
            return False
        if trace is not None and document.get("trace.id") != trace.lower():
            return False
        if process is not None and document.get("process.name") != process:
            return False
        if since is not None:
            try:
                if seconds_of(str(document["@timestamp"]), 0.0) < since:
                    return False
            except (KeyError, CommandError):
                return False
        names = ("message", "log.logger", "event.code", "error.stack_trace")
        body = " ".join(str(document.get(name, "")) for name in names).lower()
        return all(word in body for word in words)

    return fits


def files_of(folder: Path) -> list[Path]:
    """All log files of both processes, oldest first within each process."""
    return [path for process in PROCESSES for path in log_files(folder, process) if path.exists()]


def search_files(folder: Path, fits: Filter, limit: int) -> list[Document]:
    """The newest `limit` documents that fit, newest first; reads every file.

    Raises:
        CommandError: there are no files, or they cannot be read.
    """
    paths = files_of(folder)
    if not paths:
        raise CommandError(
            f"no log files in {folder}: has this instance run? (instance.json: log_dir)"
        )
    kept: list[Document] = []
    for path in paths:
        newest: deque[Document] = deque(maxlen=limit)
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                newest.extend(one for one in map(parse, file) if one is not None and fits(one))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}; read it as the user of mxrc") from None
        kept += newest
    kept.sort(key=lambda one: str(one.get("@timestamp", "")), reverse=True)
    return kept[:limit]


def parse(line: str) -> Document | None:
    """A line of a log file; None when it is none."""
    with suppress(ValueError):
        document = json.loads(line)
        return document if isinstance(document, dict) else None
    return None


def follow(
    folder: Path, fits: Filter, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Document]:
    """What is written from now on into both files, across rotations; never ends."""
    tails = [_Tail(folder / f"{process}.log") for process in PROCESSES]
    for tail in tails:
        tail.skip_to_end()
    while True:
        fresh = [one for tail in tails for one in tail.read() if fits(one)]
        yield from sorted(fresh, key=lambda one: str(one.get("@timestamp", "")))
        if not fresh:
            sleep(POLL_S)


class _Tail:
    """One file, followed by name: what was renamed is read to its end first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._rest = ""

    def skip_to_end(self) -> None:
        with suppress(OSError):
            self._file = self._path.open(encoding="utf-8", errors="replace")
            self._file.seek(0, 2)

    def read(self) -> list[Document]:
        found = self._read_open()
        if self._replaced():
            found += self._read_open()
            if self._file is not None:
                self._file.close()
            self._file, self._rest = None, ""
            with suppress(OSError):
                self._file = self._path.open(encoding="utf-8", errors="replace")
            found += self._read_open()
        return found

    def _read_open(self) -> list[Document]:
        if self._file is None:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        return [one for one in map(parse, lines) if one is not None]

    def _replaced(self) -> bool:
        if self._file is None:
            return True
        import os

        try:
            there, here = self._path.stat(), os.fstat(self._file.fileno())
        except OSError:
            return False
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
