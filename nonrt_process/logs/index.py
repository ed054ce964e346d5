"""The index of this host's log lines: what `mxrc log search` and GET /api/v1/logs look into.

A thread of its own reads the log files behind their writers and fills an SQLite store (FTS5 over
message and error text). It is derived: where it goes on is stored in the same transaction as
the rows, it begins anew when its file is missing or corrupt, and nothing that happens to it reaches
the log files.

A row keeps the time and the place of its line (file, offset): text is not stored twice. What the
quota of the log files has deleted cannot be found any more.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count as count_from
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import orjson

from nonrt_process.chunks import insert
from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, InvalidSetting, ProcessName
from nonrt_process.logs import ecs
from shared.clock import Clock
from shared.log_files import log_files
from shared.sqlite_store import Schema, SqliteStore, StoreError
from shared.wall_time import realtime_ns

RETENTION_NS: Final = 24 * 3600 * 10**9
QUOTA_BYTES: Final = 4 << 30
INTERVAL_S: Final = 0.25
CHUNK: Final = 1 << 22
MAX_LINE: Final = 1 << 20
ORDER_SLACK_NS: Final = 60 * 10**9
LEVEL_WORD, PROCESS_WORD, TASK_WORD, TRACE_WORD = "mxqlvl", "mxqproc", "mxqtask", "mxqtrace"
_LEVEL_WORDS: Final = {name: f"{LEVEL_WORD}{at}" for at, name in enumerate(ecs.LEVELS)}
_SEARCHED: Final = (ecs.MESSAGE, ecs.LOGGER, ecs.EVENT_CODE, ecs.ERROR_STACK, ecs.LABELS)
TEXT_CHARS: Final = 4000
MAX_RESULTS: Final = 1000
PROCESSES: Final[tuple[ProcessName, ...]] = ("rt_process", "non_rt_process")

PART_BITS: Final = 18
"""The words of 2^18 lines have a table of their own, which is dropped as a whole when they are old:
rows of a contentless FTS5 table cannot be deleted without their text."""

SCHEMA: Final = Schema(
    1,
    """
    CREATE TABLE file (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, inode INTEGER NOT NULL,
        mark TEXT NOT NULL, done INTEGER NOT NULL, UNIQUE (device, inode, mark)) STRICT;
    CREATE TABLE line (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, file INTEGER NOT NULL,
        place INTEGER NOT NULL, size INTEGER NOT NULL) STRICT;
    """,
)

_ENDS: Final = "SELECT (SELECT min(id) FROM line), (SELECT max(id) FROM line)"
"""Two look-ups; min and max in one SELECT would read the whole table."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; None: whatever it is. Times in ns since 1970."""

    text: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    level: str | None = None
    task: str | None = None
    trace: str | None = None
    process: str | None = None
    limit: int = 100


class LogIndex:
    """The index over the files of `folder`. One writer thread; `search` from any thread."""

    name: Final = "log_index"
    process: Final[ProcessName] = "non_rt_process"

    def __init__(
        self,
        path: Path,
        folder: Path,
        clock: Clock,
        *,
        quota_bytes: int = QUOTA_BYTES,
        retention_ns: int = RETENTION_NS,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._retention_ns = retention_ns
        self._path = path
        self._quota_bytes = quota_bytes
        self._store = self._make_store()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-index", daemon=True)
        self._problem = ""
        self._log = logging.getLogger("nonrt.logs")

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read the files."""
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """End; what is not indexed yet is when the process runs again."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def check(self, now_ns: int) -> Finding:
        """HealthCheck: the search is broken; the log files are not concerned."""
        problem = self._problem
        return Finding(HealthStatus.DEGRADED, problem) if problem else HEALTHY

    def open(self) -> None:
        """Open the store; one that was corrupt begins empty and is filled from the files."""
        with suppress(StoreError):
            self._store.open()
            if not self._store.rebuilt:
                return
        self._begin_anew()

    def close(self) -> None:
        self._store.close()

    def _make_store(self) -> SqliteStore:
        return SqliteStore(
            self._path,
            SCHEMA,
            synchronous="NORMAL",
            quota_bytes=self._quota_bytes,
            retain=self._retain,
            verify=False,
        )

    def _begin_anew(self) -> None:
        """Nothing in it is worth saving: the files are there."""
        with suppress(StoreError):
            self._store.close()
        for path in self._path.parent.glob(f"{self._path.name}*"):
            with suppress(OSError):
                path.unlink()
        self._store = self._make_store()
        self._store.open()

    def _run(self) -> None:
        opened = False
        while True:
            try:
                if not opened:
                    self.open()
                    opened = True
                if self._store.rebuilt or not self._path.exists():
                    self._begin_anew()
                    self._log.warning("The index of the log files is filled anew from the files")
                self.catch_up()
                self._problem = ""
            except (StoreError, OSError, sqlite3.Error) as error:
                if not self._problem:
                    self._log.error("The index of the log files stands still: %s", error)
                self._problem = f"log search is behind: {error}; the log files go on"
            if self._stop.wait(INTERVAL_S if not self._problem else 4 * INTERVAL_S):
                break
        with suppress(StoreError):
            self._store.close()

    # ---- filling -------------------------------------------------------------------------------

    def catch_up(self) -> int:
        """Index what the files have gained; returns the number of lines."""
        count = 0
        for process in PROCESSES:
            for path in log_files(self._folder, process):
                count += self._read_file(path, process)
        return count

    def _read_file(self, path: Path, process: ProcessName) -> int:
        count = 0
        with suppress(FileNotFoundError), path.open("rb") as file:
            status = os.fstat(file.fileno())
            mark = _mark(file.readline(4096))
            if not mark:
                return 0
            number, done = self._file_entry(status, mark)
            while done < status.st_size and not self._stop.is_set():
                file.seek(done)
                chunk = file.read(CHUNK)
                end = chunk.rfind(b"\n") + 1
                if not end:
                    # One line longer than a chunk is not one of ours: passed over.
                    if len(chunk) < CHUNK:
                        break
                    done += len(chunk)
                    continue
                rows = _Rows(number, done + end)
                oldest = self._clock.realtime_ns() - self._retention_ns
                rows.read(chunk[:end], done, process, oldest)
                done += end
                self._store.write(rows)
                count += len(rows.times)
        return count

    def _file_entry(self, status: os.stat_result, mark: str) -> tuple[int, int]:
        key = (status.st_dev, status.st_ino, mark)
        with self._store.read() as connection:
            found = connection.execute(
                "SELECT id, done FROM file WHERE device = ? AND inode = ? AND mark = ?", key
            ).fetchone()
        if found is not None:
            return int(found[0]), int(found[1])

        def insert(connection: sqlite3.Connection) -> int:
            connection.execute(
                "INSERT INTO file (device, inode, mark, done) VALUES (?, ?, ?, 0)",
                key,
            )
            return int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])

        return self._store.write(insert), 0

    def _retain(self, connection: sqlite3.Connection, must_free: bool) -> int:
        """Delete what is too old; with must_free the oldest part of the words at least."""
        oldest = self._clock.realtime_ns() - self._retention_ns
        first, last = connection.execute(_ENDS).fetchone()
        if first is None:
            return 0
        kept = connection.execute(
            "SELECT id FROM line WHERE time >= ? ORDER BY id LIMIT 1", (oldest,)
        ).fetchone()
        upto = last + 1 if kept is None else int(kept[0])
        if must_free:
            upto = max(upto, ((first >> PART_BITS) + 1) << PART_BITS)
        deleted = connection.execute("DELETE FROM line WHERE id < ?", (upto,)).rowcount
        for part in _parts(connection):
            if (part + 1) << PART_BITS <= upto:
                connection.execute(f"DROP TABLE words_{part}")
        return int(deleted)

    # ---- searching -----------------------------------------------------------------------------

    def search(self, query: Query) -> list[dict[str, Any]]:
        """Documents of the lines that fit, the newest first, at most query.limit.

        Raises:
            InvalidSetting: the query cannot be understood.
            StoreError: the index cannot be read.
        """
        expression = match_of(query)
        documents: list[dict[str, Any]] = []
        limit = min(query.limit, MAX_RESULTS)
        paths = self._paths()
        with self._store.read() as connection:
            connection.execute("BEGIN")
            files = dict(connection.execute("SELECT id, device || '-' || inode FROM file"))
            span = _span(connection, query)
            for part in reversed(_parts(connection)):
                if len(documents) >= limit or (part + 1) << PART_BITS <= span.start:
                    break
                if part << PART_BITS >= span.stop:
                    continue
                sql, values = _statement(query, part, expression, span, limit - len(documents))
                for number, place, size in connection.execute(sql, values):
                    path = paths.get(files.get(number, ""))
                    line = _read_line(path, place, size) if path is not None else b""
                    with suppress(ValueError):
                        documents.append(orjson.loads(line))
            connection.execute("COMMIT")
        # Rows are in the order in which the two files were read.
        documents.sort(key=lambda one: str(one.get(ecs.TIMESTAMP, "")), reverse=True)
        return documents

    def _paths(self) -> dict[str, Path]:
        found = {}
        for process in PROCESSES:
            for path in log_files(self._folder, process):
                with suppress(OSError):
                    status = path.stat()
                    found[f"{status.st_dev}-{status.st_ino}"] = path
        return found


class _Rows:
    """Columns of new rows, and the job that adds them and notes how far the file is done."""

    def __init__(self, number: int, done: int) -> None:
        self._number = number
        self._done = done
        self.times: list[int] = []
        self._places: list[int] = []
        self._sizes: list[int] = []
        self._texts: list[str] = []

    def read(self, chunk: bytes, start: int, process: str, oldest_ns: int) -> None:
        """Take in the lines of a chunk that begins at `start` in its file and ends with a line."""
        place = start
        for line in chunk.split(b"\n")[:-1]:
            size = len(line) + 1
            row = _row(line, process)
            if row is not None and row[0] >= oldest_ns:
                self.times.append(row[0])
                self._places.append(place)
                self._sizes.append(size)
                self._texts.append(row[1])
            place += size

    def __call__(self, connection: sqlite3.Connection) -> None:
        newest = connection.execute("SELECT coalesce(max(id), 0) FROM line").fetchone()[0]
        parts = _parts(connection)
        first = max(int(newest) + 1, parts[-1] << PART_BITS if parts else 1)
        count = len(self.times)
        columns = (self.times, repeat(self._number), self._places, self._sizes)
        lines = zip(count_from(first), *columns)
        insert(connection, "INSERT INTO line (id, time, file, place, size)", lines)
        begun = 0
        while begun < count:
            part = (first + begun) >> PART_BITS
            end = min(count, ((part + 1) << PART_BITS) - first)
            connection.execute(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS words_{part} "
                "USING fts5 (text, content='', columnsize=0)"
            )
            words = zip(count_from(first + begun), self._texts[begun:end])
            insert(connection, f"INSERT INTO words_{part} (rowid, text)", words)
            begun = end
        connection.execute("UPDATE file SET done = ? WHERE id = ?", (self._done, self._number))


def _parts(connection: sqlite3.Connection) -> list[int]:
    """Numbers of the tables of words, ascending."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
    )
    return sorted(int(name.removeprefix("words_")) for (name,) in names)


def _span(connection: sqlite3.Connection, query: Query) -> range:
    """Line numbers outside of which no line fits the times: lines come nearly in order of time."""
    low, high = connection.execute(_ENDS).fetchone()
    if low is None:
        return range(0)
    start, stop = int(low), int(high) + 1
    if query.since_ns is not None:
        start = _first_at(connection, query.since_ns - ORDER_SLACK_NS, start, stop)
    if query.until_ns is not None:
        stop = _first_at(connection, query.until_ns + ORDER_SLACK_NS, start, stop)
    return range(start, stop)


def _first_at(connection: sqlite3.Connection, time_ns: int, low: int, high: int) -> int:
    """First line of low .. high - 1 from that time on; high: there is none."""
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(
            "SELECT time FROM line WHERE id >= ? ORDER BY id LIMIT 1", (middle,)
        ).fetchone()
        if found is not None and found[0] < time_ns:
            low = middle + 1
        else:
            high = middle
    return low


def _row(line: bytes, process: str) -> tuple[int, str] | None:
    """Time and words of a line; the filters are words, too, which nobody types."""
    try:
        document = orjson.loads(line)
        time_ns = realtime_ns(document[ecs.TIMESTAMP])
        level = _LEVEL_WORDS[document[ecs.LEVEL]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    parts = [str(document[name])[:TEXT_CHARS] for name in _SEARCHED if document.get(name)]
    parts += (level, _process_word(process))
    for kind, field in ((TASK_WORD, ecs.TASK_ID), (TRACE_WORD, ecs.TRACE_ID)):
        value = document.get(field)
        if isinstance(value, str):
            parts.append(_tag(kind, value))
    return time_ns, " ".join(parts)


@lru_cache(4096)
def _tag(kind: str, value: str) -> str:
    """One word for any text."""
    return kind + hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=10).hexdigest()


def _process_word(process: str) -> str:
    return PROCESS_WORD + process.replace("_", "")


def _mark(line: bytes) -> str:
    """Id in the first line of a file; an inode number may be used again."""
    with suppress(ValueError, TypeError, AttributeError):
        value = orjson.loads(line).get(ecs.FILE_ID)
        return value if isinstance(value, str) else ""
    return ""


def _read_line(path: Path, place: int, size: int) -> bytes:
    with suppress(OSError), path.open("rb") as file:
        file.seek(place)
        return file.read(min(size, MAX_LINE))
    return b""


def match_expression(text: str) -> str:
    """FTS5 expression for what a person types: all words, "phrases" together, a* as a prefix."""
    terms = []
    for index, piece in enumerate(text.split('"')):
        for term in [piece] if index % 2 else piece.split():
            if any(char.isalnum() for char in term):
                prefix = not index % 2 and term.endswith("*")
                terms.append('"' + term.rstrip("*") + '"' + ("*" if prefix else ""))
    return " AND ".join(terms)


def match_of(query: Query) -> str | None:
    """FTS5 expression of all but the times; None: every line."""
    terms = []
    if query.text and query.text.strip():
        words = match_expression(query.text.replace("\0", " "))
        if not words:
            raise InvalidSetting(f"nothing to look for in {query.text!r}: give at least one word")
        terms.append(words)
    if query.level is not None:
        numbers = range(ecs.LEVELS.index(query.level), len(ecs.LEVELS))
        terms.append("(" + " OR ".join(_LEVEL_WORDS[ecs.LEVELS[one]] for one in numbers) + ")")
    if query.task is not None:
        terms.append(_tag(TASK_WORD, query.task))
    if query.trace is not None:
        terms.append(_tag(TRACE_WORD, query.trace.lower()))
    if query.process is not None:
        terms.append(_process_word(query.process))
    return " AND ".join(terms) or None


def _statement(
    query: Query, part: int, expression: str | None, span: range, limit: int
) -> tuple[str, list[Any]]:
    """The newest lines of a part that fit."""
    words = f"words_{part}"
    if expression is None:
        source, place = "line", "line.id"
        clauses = []
        values: list[Any] = []
    else:
        source, place = f"{words} JOIN line ON line.id = {words}.rowid", f"{words}.rowid"
        clauses, values = [f"{words} MATCH ?"], [expression]
    clauses += [f"{place} >= ?", f"{place} < ?"]
    values += [max(span.start, part << PART_BITS), min(span.stop, (part + 1) << PART_BITS)]
    if query.since_ns is not None:
        clauses.append("line.time >= ?")
        values.append(query.since_ns)
    if query.until_ns is not None:
        clauses.append("line.time < ?")
        values.append(query.until_ns)
    sql = (
        f"SELECT line.file, line.place, line.size FROM {source} "  # noqa: S608  own parts
        f"WHERE {' AND '.join(clauses)} ORDER BY {place} DESC LIMIT ?"
    )
    return sql, [*values, limit]
