"""Take over what can still be read of a damaged SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def salvage(fresh: sqlite3.Connection, corrupt: Path) -> tuple[int, tuple[str, ...]]:
    """Copy the rows of `corrupt` that can be read into `fresh`: their number, damaged tables."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = [str(row[0]) for row in fresh.execute(query)]
    kept = 0
    damaged = []
    fresh.execute("PRAGMA foreign_keys = 0")
    for table in tables:
        columns = [str(row[1]) for row in fresh.execute(f"PRAGMA table_info({_quoted(table)})")]
        names = ", ".join(map(_quoted, columns))
        marks = ", ".join("?" * len(columns))
        insert = f"INSERT OR IGNORE INTO {_quoted(table)} ({names}) VALUES ({marks})"  # noqa: S608
        copied, whole = 0, False
        # Forward, then from the other end: what lies behind one damaged page is reached, too.
        for order in ("ASC", "DESC"):
            rows = f"SELECT {names} FROM {_quoted(table)} ORDER BY rowid {order}"  # noqa: S608
            try:
                source = sqlite3.connect(f"{corrupt.absolute().as_uri()}?mode=rw", uri=True)
            except sqlite3.Error:
                break
            try:
                fresh.execute("BEGIN IMMEDIATE")
                for row in source.execute(rows):
                    copied += fresh.execute(insert, row).rowcount
                whole = True
            except sqlite3.Error:
                whole = False
            finally:
                fresh.execute("COMMIT")
                source.close()
            if whole:
                break
        kept += copied
        if not whole:
            damaged.append(table)
    fresh.execute("PRAGMA foreign_keys = 1")
    return kept, tuple(damaged)
