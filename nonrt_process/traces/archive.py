"""Spans kept on the machine itself for seven days, in SQLite, for `mxrc trace` and the API."""

from __future__ import annotations

import concurrent.futures
import logging
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from nonrt_process.chunks import insert
from nonrt_process.traces.cycle_spans import NAME as CYCLE
from nonrt_process.traces.governor import CpuCost
from nonrt_process.traces.otlp import Finished, Origin, resource_spans
from shared.clock import Clock
from shared.sqlite_store import Schema, SqliteStore, StoreError

KEEP_NS: Final = 7 * 24 * 3600 * 1_000_000_000
QUOTA_BYTES: Final = 512 << 20
WAIT_S: Final = 2.0
"""A disk that takes longer costs the spans their place here, not their way to the receiver."""
BEHIND_SPANS: Final = 65_536
"""Spans that wait for a slow disk at most; more are dropped, counted."""
_SHRINK_TRACES: Final = 500

SCHEMA: Final = Schema(
    1,
    """
    CREATE TABLE origin (
        origin INTEGER PRIMARY KEY,
        resource BLOB NOT NULL,
        scope BLOB NOT NULL,
        UNIQUE (resource, scope)
    );
    CREATE TABLE trace (
        trace_id BLOB PRIMARY KEY,
        start_ns INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        root TEXT NOT NULL,
        task_id TEXT NOT NULL,
        error TEXT NOT NULL,
        cycle INTEGER NOT NULL
    );
    CREATE INDEX trace_by_start ON trace (cycle, start_ns);
    CREATE INDEX trace_by_age ON trace (start_ns);
    CREATE INDEX trace_by_task ON trace (task_id, start_ns);
    CREATE TABLE span (
        trace_id BLOB NOT NULL,
        span_id BLOB NOT NULL,
        origin INTEGER NOT NULL,
        element BLOB NOT NULL,
        PRIMARY KEY (trace_id, span_id)
    ) WITHOUT ROWID;
    """,
)
_UPSERT: Final = """
    ON CONFLICT (trace_id) DO UPDATE SET
        root = CASE WHEN excluded.start_ns < start_ns THEN excluded.root ELSE root END,
        start_ns = min(start_ns, excluded.start_ns),
        end_ns = max(end_ns, excluded.end_ns),
        task_id = CASE WHEN excluded.task_id = '' THEN task_id ELSE excluded.task_id END,
        error = CASE WHEN error = '' THEN excluded.error ELSE error END
"""


class Summary(NamedTuple):
    """A trace. Times: Unix ns. error: of the first span that failed, empty: none did."""

    trace_id: bytes
    start_ns: int
    end_ns: int
    root: str
    task_id: str
    error: str
    spans: int


class Archive:
    """Safe to use from several threads. Reading raises StoreError."""

    def __init__(
        self, path: Path, clock: Clock, log: logging.Logger, cost: CpuCost | None = None
    ) -> None:
        self._clock = clock
        self._log = log
        self._cost = cost or CpuCost()
        self._problem = ""
        self._lock = threading.Lock()
        self._behind = 0
        self.dropped = 0
        """Spans that were not kept here."""
        self.store: Final = SqliteStore(
            path,
            SCHEMA,
            synchronous="NORMAL",
            quota_bytes=QUOTA_BYTES,
            retain=self._retain,
            verify=False,
        )

    def open(self) -> None:
        """Open the file; without it spans are exported all the same."""
        try:
            self.store.open()
        except StoreError as error:
            self._say(f"Spans are not kept on this machine: {error}")

    def add(self, spans: Sequence[Finished]) -> None:
        """Keep finished spans; one that is there already stays as it is. Never raises."""
        if not spans:
            return
        with self._lock:
            behind = self._behind
            fits = self.store.is_open and behind + len(spans) <= max(BEHIND_SPANS, len(spans))
            if fits:
                self._behind += len(spans)
            else:
                self.dropped += len(spans)
        if not fits:
            if behind:
                self._say("The disk is slow: spans are not kept on this machine")
            return
        try:
            job = self.store.submit(lambda connection: self._write(connection, spans))
        except StoreError as error:
            self._done(len(spans), error)
            return
        job.add_done_callback(lambda ended: self._done(len(spans), ended.exception()))
        if not behind:  # else it is known to be slow, and the rings fill up meanwhile
            try:
                job.exception(WAIT_S)
            except concurrent.futures.TimeoutError:
                self._say("The disk is slow: the store of spans is behind")

    def _write(self, connection: sqlite3.Connection, spans: Sequence[Finished]) -> None:
        with self._cost.measured():
            _insert(connection, spans)

    def _done(self, spans: int, error: BaseException | None) -> None:
        with self._lock:
            self._behind -= spans
            if error is not None:
                self.dropped += spans
        if error is None:
            self._problem = ""
        else:
            self._say(f"{spans} spans are not kept on this machine: {error}")

    def find(
        self,
        *,
        task: str | None = None,
        min_duration_ns: int = 0,
        error: bool | None = None,
        cycles: bool = False,
        limit: int = 100,
        before_ns: int | None = None,
    ) -> list[Summary]:
        """The newest traces first. cycles: those of rt.cycle spans, instead of all others."""
        where, values = ["cycle = ?", "end_ns - start_ns >= ?"], [cycles, min_duration_ns]
        if task is not None:
            where.append("task_id = ?")
            values.append(task)  # type: ignore[arg-type]
        if error is not None:
            where.append("error <> ''" if error else "error = ''")
        if before_ns is not None:
            where.append("start_ns < ?")
            values.append(before_ns)
        query = (
            "SELECT trace_id, start_ns, end_ns, root, task_id, error, "  # noqa: S608
            "(SELECT count(*) FROM span WHERE span.trace_id = trace.trace_id) FROM trace "
            f"WHERE {' AND '.join(where)} ORDER BY start_ns DESC LIMIT ?"
        )
        with self.store.read() as connection:
            return [Summary(*row) for row in connection.execute(query, [*values, limit])]

    def request(self, trace_id: bytes) -> bytes:
        """An ExportTraceServiceRequest with the spans of a trace; empty: there is none."""
        query = "SELECT origin, element FROM span WHERE trace_id = ?"
        return self._request(query, (trace_id,))

    def cycles_request(self, start_ns: int, end_ns: int, limit: int = 10_000) -> bytes:
        """The same with the rt.cycle spans that began in a span of time (Unix ns)."""
        query = (
            "SELECT origin, element FROM span WHERE trace_id IN (SELECT trace_id FROM trace "
            "WHERE cycle = 1 AND start_ns BETWEEN ? AND ? ORDER BY start_ns LIMIT ?)"
        )
        return self._request(query, (start_ns, end_ns, limit))

    def _request(self, query: str, values: Sequence[Any]) -> bytes:
        groups: dict[int, list[bytes]] = {}
        with self.store.read() as connection:
            for origin, element in connection.execute(query, values):
                groups.setdefault(origin, []).append(element)
            origins = {
                number: Origin(resource, scope)
                for number, resource, scope in connection.execute("SELECT * FROM origin")
                if number in groups
            }
        return b"".join(
            resource_spans(origins[number], elements) for number, elements in groups.items()
        )

    def _retain(self, connection: sqlite3.Connection, shrink: bool) -> int:
        if shrink:
            chosen, value = "ORDER BY start_ns LIMIT ?", _SHRINK_TRACES
        else:
            chosen, value = "WHERE start_ns < ?", self._clock.realtime_ns() - KEEP_NS
        old = f"(SELECT trace_id FROM trace {chosen})"  # noqa: S608
        connection.execute(f"DELETE FROM span WHERE trace_id IN {old}", (value,))  # noqa: S608
        query = f"DELETE FROM trace WHERE trace_id IN {old}"  # noqa: S608
        return connection.execute(query, (value,)).rowcount

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._log.warning("%s", problem)


def _insert(connection: sqlite3.Connection, spans: Sequence[Finished]) -> None:
    numbers = {one.origin: 0 for one in spans}
    for origin in numbers:
        values = (origin.resource, origin.scope)
        connection.execute("INSERT OR IGNORE INTO origin (resource, scope) VALUES (?, ?)", values)
        row = connection.execute(
            "SELECT origin FROM origin WHERE resource = ? AND scope = ?", values
        ).fetchone()
        numbers[origin] = row[0]
    rows = ((one.trace_id, one.span_id, numbers[one.origin], one.element) for one in spans)
    insert(connection, "INSERT OR IGNORE INTO span", rows)
    traces: dict[bytes, list[Finished]] = {}
    for one in spans:
        traces.setdefault(one.trace_id, []).append(one)
    summaries = (_summary(trace_id, of) for trace_id, of in traces.items())
    insert(connection, "INSERT INTO trace", summaries, _UPSERT)


def _summary(trace_id: bytes, spans: list[Finished]) -> tuple[Any, ...]:
    first = min(spans, key=lambda one: one.start_ns)
    task = next((one.task_id for one in spans if one.task_id), "")
    error = next((one.error for one in spans if one.error), "")
    end = max(one.end_ns for one in spans)
    # SQLite's integers have 63 bits; a time beyond is a mistake that must not stop the others.
    start, end = (min(time, (1 << 63) - 1) for time in (first.start_ns, end))
    return trace_id, start, end, first.name, task, error, int(first.name == CYCLE)
