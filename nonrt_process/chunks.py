"""Rows cut into pieces of a few sizes, each of which is one statement of SQLite.

Each statement gives the interpreter's lock away and has to get it back, which under load takes far
longer than the statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

T = TypeVar("T")

SIZES: Final = (32, 16, 8, 4, 2, 1)
"""Rows of one statement; 32 of 17 values stay below the 999 that an old SQLite allows."""


def chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """All of them, in order, in pieces that are each as large as can be."""
    done = 0
    for size in SIZES:
        while len(rows) - done >= size:
            yield rows[done : done + size]
            done += size


def insert(
    connection: sqlite3.Connection, into: str, rows: Iterable[Sequence[Any]], end: str = ""
) -> None:
    """All of them. into: "INSERT INTO" a table and columns, end: a clause; both our own words."""
    for some in chunks(list(rows)):
        marks = f"({', '.join('?' * len(some[0]))})"
        query = f"{into} VALUES {', '.join([marks] * len(some))}{end}"
        connection.execute(query, list(chain.from_iterable(some)))
