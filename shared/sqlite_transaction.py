"""Transactions of SQLite: one job, or a group in which a failing job takes no neighbour with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether `error` says that the file itself is damaged or is no database at all."""
    # SQLITE_CORRUPT and SQLITE_NOTADB are raised as DatabaseError itself; the rest has subclasses.
    return type(error) is sqlite3.DatabaseError


def is_fatal(error: Exception) -> bool:
    """Whether `error` is the file's or the disk's, and not that of one statement's values."""
    return isinstance(error, sqlite3.OperationalError) or (
        isinstance(error, sqlite3.Error) and is_corruption(error)
    )


def transaction(connection: sqlite3.Connection, job: Job[T]) -> T:
    """Run `job` between BEGIN IMMEDIATE and COMMIT; what it raises rolls back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        value = job(connection)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return value


def run_jobs(
    connection: sqlite3.Connection, jobs: list[Job[Any]]
) -> list[tuple[Any, Exception | None]]:
    """All jobs in one transaction; raises sqlite3.Error when none of them was kept."""
    if len(jobs) == 1:  # nobody to be kept apart from
        try:
            return [(transaction(connection, jobs[0]), None)]
        except Exception as error:
            if is_fatal(error):
                raise
            return [(None, error)]
    outcomes: list[tuple[Any, Exception | None]] = []

    def body(connection: sqlite3.Connection) -> None:
        for job in jobs:
            connection.execute("SAVEPOINT job")
            try:
                value, failure = job(connection), None
            except Exception as error:
                if is_fatal(error):
                    raise
                value, failure = None, error
                connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            outcomes.append((value, failure))

    transaction(connection, body)
    return outcomes
