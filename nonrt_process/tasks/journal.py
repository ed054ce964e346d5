"""The task journal: every accepted execution and what became of it, in SQLite.

A row is on disk before its 202 is sent. Changes of status are idempotent and only go forward, so
that an event that RT sends twice, or that is read again after a crash, changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from nonrt_process.interfaces import TaskStatus
from nonrt_process.outcome import Outcome
from nonrt_process.tasks.acceptances import Acceptances, Row
from nonrt_process.tasks.changes import apply_changes
from nonrt_process.tasks.execution import STATUSES, Execution, Transition
from shared.clock import Clock
from shared.sqlite_store import Schema, SqliteStore
from shared.trace_context import TraceContext

KEEP_NS: Final = 30 * 24 * 3600 * 1_000_000_000
QUOTA_BYTES: Final = 512 << 20
_SHRINK_ROWS: Final = 1000
_DOCUMENTS: Final = 256
"""Definitions kept in memory: a digest says all of what it stands for."""
_ACTIVE: Final = "status IN ('PENDING', 'RUNNING')"

_BY_KEY: Final = (
    "CREATE UNIQUE INDEX by_key ON execution (idempotency_key) WHERE idempotency_key IS NOT NULL"
)

SCHEMA: Final = Schema(
    2,
    f"""
    CREATE TABLE definition (
        digest TEXT PRIMARY KEY,
        document TEXT NOT NULL
    );
    CREATE TABLE execution (
        execution_id INTEGER PRIMARY KEY,
        task_id TEXT NOT NULL,
        definition TEXT NOT NULL,
        digest TEXT NOT NULL,
        mode TEXT NOT NULL,
        parameters TEXT NOT NULL,
        priority INTEGER NOT NULL,
        axes INTEGER NOT NULL,
        on_restart TEXT NOT NULL,
        trace_id BLOB NOT NULL,
        span_id BLOB NOT NULL,
        trace_flags INTEGER NOT NULL,
        tracestate TEXT NOT NULL,
        baggage TEXT NOT NULL,
        status TEXT NOT NULL,
        accepted_ns INTEGER NOT NULL,
        started_ns INTEGER,
        ended_ns INTEGER,
        generation INTEGER NOT NULL DEFAULT 0,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        step INTEGER,
        idempotency_key TEXT
    );
    CREATE UNIQUE INDEX one_active ON execution (task_id) WHERE {_ACTIVE};
    CREATE INDEX by_task ON execution (task_id, execution_id);
    CREATE INDEX by_status ON execution (status, execution_id);
    CREATE INDEX by_end ON execution (ended_ns) WHERE ended_ns IS NOT NULL;
    {_BY_KEY};
    """,
    ((2, f"ALTER TABLE execution ADD COLUMN idempotency_key TEXT; {_BY_KEY}"),),
)

_COLUMNS: Final = (
    "execution_id", "task_id", "definition", "digest", "mode", "parameters", "priority", "axes",
    "on_restart", "trace_id", "span_id", "trace_flags", "tracestate", "baggage", "status",
    "accepted_ns", "idempotency_key", "started_ns", "ended_ns", "generation", "cancel_requested",
    "error", "step",
)  # fmt: skip
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM execution"  # noqa: S608


class Journal:
    """Rows of executions; safe to use from several threads. Raises StoreError."""

    def __init__(
        self, path: Path, clock: Clock, forgotten: Callable[[Mapping[str, int]], None]
    ) -> None:
        """forgotten: told how many rows of each status retention has deleted."""
        self._clock = clock
        self._forgotten = forgotten
        self.store: Final = SqliteStore(path, SCHEMA, quota_bytes=QUOTA_BYTES, retain=self._retain)
        self._documents: dict[str, str] = {}
        self._acceptances = Acceptances(self.store, "execution", _COLUMNS[:17])

    # ---- writing -------------------------------------------------------------------------------

    def accept(self, execution: Execution, document: str) -> Outcome[None]:
        """Ends when the execution is on disk.

        sqlite3.IntegrityError: its task id is active, or its key was used before.
        """
        row = (
            execution.execution_id,
            execution.task_id,
            execution.definition,
            execution.digest,
            execution.mode,
            json.dumps(execution.parameters) if execution.parameters else "{}",
            execution.priority,
            execution.axes,
            execution.on_restart,
            execution.trace.trace_id,
            execution.trace.span_id,
            execution.trace.flags,
            execution.tracestate,
            execution.baggage,
            execution.status,
            execution.accepted_ns,
            execution.key,
        )

        return self._acceptances.add(Row(execution.digest, document, row))

    def apply(self, transitions: Sequence[Transition]) -> list[Transition]:
        """Make changes of status durable; returns those that changed something, in order."""
        if not transitions:
            return []

        return self.store.write(lambda connection: apply_changes(connection, transitions))

    def request_cancel(self, execution_id: int) -> None:
        """Remember that the end was asked for."""
        self.store.write(
            lambda connection: (
                connection.execute(
                    "UPDATE execution SET cancel_requested = 1 WHERE execution_id = ?",
                    (execution_id,),
                ).rowcount
            )
        )

    def _retain(self, connection: sqlite3.Connection, shrink: bool) -> int:
        oldest = "SELECT execution_id FROM execution WHERE ended_ns IS NOT NULL ORDER BY ended_ns"
        where = f"execution_id IN ({oldest} LIMIT ?)" if shrink else "ended_ns < ?"
        values = (_SHRINK_ROWS if shrink else self._clock.realtime_ns() - KEEP_NS,)
        query = f"DELETE FROM execution WHERE {where} RETURNING status"  # noqa: S608
        rows = [str(row[0]) for row in connection.execute(query, values)]
        if rows:
            self._forgotten(Counter(rows))
            connection.execute(
                "DELETE FROM definition WHERE digest NOT IN (SELECT digest FROM execution)"
            )
        return len(rows)

    # ---- reading -------------------------------------------------------------------------------

    def active(self) -> list[Execution]:
        """Executions without a final status, in the order of acceptance."""
        with self.store.read() as connection:
            rows = connection.execute(f"{_SELECT} WHERE {_ACTIVE} ORDER BY execution_id").fetchall()
        return [_execution(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    def last_id(self) -> int:
        """The highest execution id ever given, 0 for none."""
        with self.store.read() as connection:
            found = connection.execute("SELECT max(execution_id) FROM execution").fetchone()[0]
        return int(found or 0)

    def counts(self) -> dict[str, int]:
        """Rows by status; all statuses are there."""
        counts: dict[str, int] = dict.fromkeys(STATUSES, 0)
        with self.store.read() as connection:
            query = "SELECT status, count(*) FROM execution GROUP BY status"
            counts.update(dict(connection.execute(query).fetchall()))
        return counts

    def document(self, digest: str) -> str | None:
        """Definition by digest, as JSON."""
        kept = self._documents.get(digest)
        if kept is not None:
            return kept
        with self.store.read() as connection:
            row = connection.execute(
                "SELECT document FROM definition WHERE digest = ?", (digest,)
            ).fetchone()
        if row is None:
            return None
        if len(self._documents) >= _DOCUMENTS:
            self._documents.clear()
        return self._documents.setdefault(digest, str(row[0]))

    def carried(self, execution_id: int) -> tuple[str, str]:
        """tracestate and baggage of the request; empty when there is no such execution."""
        query = "SELECT tracestate, baggage FROM execution WHERE execution_id = ?"
        with self.store.read() as connection:
            row = connection.execute(query, (execution_id,)).fetchone()
        return (row[0], row[1]) if row is not None else ("", "")

    def by_key(self, key: str) -> dict[str, Any] | None:
        """Row of the execution that a request with this key started."""
        with self.store.read() as connection:
            row = connection.execute(f"{_SELECT} WHERE idempotency_key = ?", (key,)).fetchone()
        return None if row is None else dict(zip(_COLUMNS, row, strict=True))

    def newest(self, task_id: str) -> dict[str, Any] | None:
        """Row of the newest execution of a task id."""
        with self.store.read() as connection:
            row = connection.execute(
                f"{_SELECT} WHERE task_id = ? ORDER BY execution_id DESC LIMIT 1", (task_id,)
            ).fetchone()
        return None if row is None else dict(zip(_COLUMNS, row, strict=True))

    def page(
        self, offset: int, limit: int, status: TaskStatus | None
    ) -> tuple[list[dict[str, Any]], int]:
        """Rows, newest first, and how many there are in all."""
        where = " WHERE status = ?" if status else ""
        values: tuple[Any, ...] = (status,) if status else ()
        with self.store.read() as connection:
            connection.execute("BEGIN")
            total = connection.execute(
                f"SELECT count(*) FROM execution{where}",  # noqa: S608
                values,
            ).fetchone()[0]
            rows = connection.execute(
                f"{_SELECT}{where} ORDER BY execution_id DESC LIMIT ? OFFSET ?",
                (*values, limit, offset),
            ).fetchall()
            connection.execute("COMMIT")
        return [dict(zip(_COLUMNS, row, strict=True)) for row in rows], int(total)


def _execution(row: dict[str, Any]) -> Execution:
    return Execution(
        execution_id=row["execution_id"],
        task_id=row["task_id"],
        definition=row["definition"],
        digest=row["digest"],
        mode=row["mode"],
        parameters=json.loads(row["parameters"]),
        priority=row["priority"],
        axes=row["axes"],
        on_restart=row["on_restart"],
        trace=TraceContext(row["trace_id"], row["span_id"], row["trace_flags"]),
        accepted_ns=row["accepted_ns"],
        tracestate=row["tracestate"],
        baggage=row["baggage"],
        status=row["status"],
        started_ns=row["started_ns"],
        cancel_requested=bool(row["cancel_requested"]),
        generation=row["generation"],
        key=row["idempotency_key"],
        durable=True,
    )
