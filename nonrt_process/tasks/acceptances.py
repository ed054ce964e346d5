"""Rows of new executions on their way into the journal: those that wait together go in together.

They are written by few statements: see chunks.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from nonrt_process.chunks import SIZES, chunks
from nonrt_process.outcome import Outcome
from shared.sqlite_store import SqliteStore
from shared.sqlite_transaction import is_fatal


class Row(NamedTuple):
    """digest, document: of the definition. values: of the columns, in their order."""

    digest: str
    document: str
    values: tuple[Any, ...]


class _Batch:
    """What one job writes. `closed`: under the lock; nothing is added any more."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.outcomes: list[Outcome[None]] = []
        self.closed = False


class Acceptances:
    """Puts rows into `table`; safe to use from several threads."""

    def __init__(self, store: SqliteStore, table: str, columns: Sequence[str]) -> None:
        self._store = store
        marks = f"({', '.join('?' * len(columns))})"
        begin = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608
        self._insert = {count: begin + ", ".join([marks] * count) for count in SIZES}
        self._lock = threading.Lock()
        self._open = _Batch()
        self._open.closed = True

    def add(self, row: Row) -> Outcome[None]:
        """Ends when the row is on disk.

        sqlite3.IntegrityError: it is in conflict with another one. StoreError: see SqliteStore.
        """
        outcome: Outcome[None] = Outcome()
        with self._lock:
            batch = self._open
            fresh = batch.closed
            if fresh:
                batch = self._open = _Batch()
            batch.rows.append(row)
            batch.outcomes.append(outcome)
        if fresh:
            self._submit(batch)
        return outcome

    def _submit(self, batch: _Batch) -> None:
        try:
            written = self._store.submit(lambda connection: self._write(connection, batch))
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            written = Future()
            written.set_exception(error)
        written.add_done_callback(lambda done: self._end(batch, done))

    def _close(self, batch: _Batch) -> None:
        with self._lock:
            batch.closed = True

    def _write(self, connection: sqlite3.Connection, batch: _Batch) -> list[Exception | None]:
        """May run again, after a rebuild of the file: then with the same rows."""
        self._close(batch)
        for digest, document in {row.digest: row.document for row in batch.rows}.items():
            connection.execute("INSERT OR IGNORE INTO definition VALUES (?, ?)", (digest, document))
        failures: list[Exception | None] = []
        for rows in chunks(batch.rows):
            failures += self._write_rows(connection, rows)
        return failures

    def _write_rows(
        self, connection: sqlite3.Connection, rows: Sequence[Row]
    ) -> list[Exception | None]:
        """Why each was refused, None where it was not. A statement that fails changes nothing."""
        try:
            values = [value for row in rows for value in row.values]
            connection.execute(self._insert[len(rows)], values)
        except Exception as error:
            if is_fatal(error):
                raise
            if len(rows) == 1:
                return [error]
            return [failure for row in rows for failure in self._write_rows(connection, [row])]
        return [None] * len(rows)

    def _end(self, batch: _Batch, done: Future[list[Exception | None]]) -> None:
        self._close(batch)
        error = done.exception()
        failures = [error] * len(batch.outcomes) if error is not None else done.result()
        for outcome, failure in zip(batch.outcomes, failures, strict=True):
            if failure is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(failure)
