"""A start that is sent again with its Idempotency-Key is the same start."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nonrt_process.interfaces import DuplicateActive, KeyUsed
from nonrt_process.tasks.journal import SCHEMA, Journal
from shared.clock import SystemClock
from shared.sqlite_store import Schema, SqliteStore
from tests.unit.nonrt_process.tasks.system import system


def test_a_retry_starts_nothing_more(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        first = it.start("wait_1", key="k1")
        assert it.start("wait_1", key="k1") == first, "while it waits"
        with pytest.raises(DuplicateActive):
            it.start("wait_1", key="k2")
        with pytest.raises(DuplicateActive):
            it.start("wait_1")
        it.settle()
        assert it.start("wait_1", key="k1") == first, "after its end"
        assert it.tasks.list(0, 10, None)["total"] == 1
        again = it.start("wait_1", key="k2")
        assert again.execution_id > first.execution_id


def test_a_retry_after_a_crash_finds_what_the_dead_process_accepted(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        first = it.start("wait_1", key="k1")
        it.nonrt_crash(False)
        it.nonrt_start()
        it.turn()
        assert it.start("wait_1", key="k1") == first
        it.settle()
        assert it.tasks.list(0, 10, None)["total"] == 1


def test_a_key_is_not_for_another_request(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("wait_1", key="k1")
        with pytest.raises(KeyUsed, match="'wait_1' with another"):
            it.start("wait_1", key="k1", definition="urgent_1")
        with pytest.raises(KeyUsed, match="has started task 'wait_1'"):
            it.start("wait_2", key="k1")
        it.settle()
        with pytest.raises(KeyUsed):
            it.start("wait_1", key="k1", definition="urgent_1")
        assert it.tasks.list(0, 10, None)["total"] == 1


def test_a_retry_at_the_same_moment_waits_for_the_first(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        started = [it.begin("wait_1", key="k1") for _ in range(20)]
        assert len({one.result(60).execution_id for one in started}) == 1
        it.settle()
        assert it.tasks.list(0, 10, None)["total"] == 1


def test_a_journal_without_keys_is_taken_over(tmp_path: Path) -> None:
    old = SCHEMA.create.replace(",\n        idempotency_key TEXT", "")
    old = old[: old.index("CREATE UNIQUE INDEX by_key")]
    store = SqliteStore(tmp_path / "tasks.sqlite3", Schema(1, old))
    store.open()
    store.write(lambda connection: connection.execute("INSERT INTO definition VALUES ('d', '{}')"))
    store.close()
    journal = Journal(tmp_path / "tasks.sqlite3", SystemClock(), lambda _: None)
    journal.store.open()
    assert journal.by_key("k") is None
    assert journal.document("d") == "{}"
    journal.store.close()
    with sqlite3.connect(tmp_path / "tasks.sqlite3") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
