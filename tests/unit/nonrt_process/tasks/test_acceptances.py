"""Rows of new executions: together into the journal, each with an outcome of its own."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from nonrt_process.outcome import Outcome
from nonrt_process.tasks.acceptances import Acceptances, Row
from shared.sqlite_store import Schema, SqliteStore, StoreClosedError

SCHEMA = Schema(
    1,
    "CREATE TABLE definition (digest TEXT PRIMARY KEY, document TEXT NOT NULL);"
    "CREATE TABLE execution (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);",
)


class Kept:
    """A store whose writer can be held up, so that rows gather."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path, SCHEMA)
        self.rows = Acceptances(self.store, "execution", ("id", "name"))
        self.store.open()
        self.held: Future[None] | None = None
        self._go = threading.Event()

    def hold(self) -> None:
        begun = threading.Event()

        def wait(_connection: sqlite3.Connection) -> None:
            begun.set()
            self._go.wait(20)

        self.held = self.store.submit(wait)
        begun.wait(20)

    def go_on(self) -> None:
        self._go.set()

    def add(self, number: Any, name: str, digest: str = "d") -> Outcome[None]:
        return self.rows.add(Row(digest, f"document {digest}", (number, name)))

    def query(self, sql: str) -> list[Any]:
        with self.store.read() as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    made = Kept(tmp_path / "t.sqlite3")
    yield made
    made.go_on()
    made.store.close()


@pytest.mark.parametrize("count", [1, 2, 31, 32, 63, 200])
def test_rows_that_gather_are_one_commit(kept: Kept, count: int) -> None:
    kept.hold()
    futures = [kept.add(n, f"n{n}", f"d{n % 3}") for n in range(count)]
    assert not any(one.done() for one in futures)
    before = kept.store.commits
    kept.go_on()
    for one in futures:
        one.result(20)
    assert kept.store.commits <= before + 2, "that of what held it up, and one for all rows"
    assert kept.query("SELECT id, name FROM execution") == [(n, f"n{n}") for n in range(count)]
    assert len(kept.query("SELECT * FROM definition")) == min(count, 3)


def test_a_row_that_is_refused_takes_no_neighbour_with_it(kept: Kept) -> None:
    kept.add(1, "taken").result(20)
    kept.hold()
    names = [f"n{n}" for n in range(40)]
    names[3], names[20], names[39] = "taken", "n19", "n\ud800"
    futures = [kept.add(10 + n, name) for n, name in enumerate(names)]
    kept.go_on()
    failures = [one.exception(20) for one in futures]
    assert [n for n, one in enumerate(failures) if one is not None] == [3, 20, 39]
    assert isinstance(failures[3], sqlite3.IntegrityError)
    assert isinstance(failures[20], sqlite3.IntegrityError)
    assert isinstance(failures[39], UnicodeError)
    assert kept.query("SELECT count(*) FROM execution") == [(38,)]


def test_what_no_commit_took_fails_and_the_next_is_taken(kept: Kept) -> None:
    kept.hold()
    futures = [kept.add(n, f"n{n}") for n in range(3)]
    kept.go_on()
    kept.store.close()
    outcomes = [one.exception(20) for one in futures]
    assert outcomes == [None] * 3, "what was queued before the end is written"
    assert isinstance(kept.add(9, "late").exception(20), StoreClosedError)
    kept.store.open()
    kept.add(10, "again").result(20)
    assert kept.query("SELECT id FROM execution") == [(0,), (1,), (2,), (10,)]


def test_an_error_of_the_file_is_everybodys(kept: Kept) -> None:
    kept.store.write(lambda connection: connection.execute("DROP TABLE execution").rowcount)
    assert kept.add(1, "a").exception(20) is not None
    assert kept.query("SELECT * FROM definition") == [], "nothing of it was kept"


def test_many_threads(kept: Kept) -> None:
    outcomes: list[Outcome[None]] = []
    threads = [
        threading.Thread(
            target=lambda first=first: outcomes.extend(
                [kept.add(n, f"n{n}") for n in range(first, 2000, 8)]
            )
        )
        for first in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in outcomes:
        one.result(20)
    assert kept.query("SELECT count(*) FROM execution") == [(2000,)]
