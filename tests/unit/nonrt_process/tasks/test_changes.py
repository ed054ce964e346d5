"""Changes of status in batches: the same as one after the other."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from nonrt_process.interfaces import TaskStatus
from nonrt_process.tasks.changes import apply_changes
from nonrt_process.tasks.execution import FINAL, Transition
from nonrt_process.tasks.journal import SCHEMA

ENDS: list[TaskStatus] = ["COMPLETED", "FAILED", "CANCELLED"]


@pytest.fixture
def journal() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA.create)
    yield connection
    connection.close()


def fill(connection: sqlite3.Connection, count: int) -> None:
    connection.executemany(
        "INSERT INTO execution (execution_id, task_id, definition, digest, mode, parameters, "
        "priority, axes, on_restart, trace_id, span_id, trace_flags, tracestate, baggage, status, "
        "accepted_ns) VALUES (?, ?, 'd', 'd', 'once', '{}', 50, 0, 'fail', x'01', x'01', 1, '', "
        "'', 'PENDING', 1)",
        [(n, f"task_{n}") for n in range(1, count + 1)],
    )


def rows(connection: sqlite3.Connection) -> list[Any]:
    query = "SELECT execution_id, status, started_ns, generation, ended_ns, error, step"
    return connection.execute(f"{query} FROM execution ORDER BY 1").fetchall()


def test_begin_and_end_in_one_batch(journal: sqlite3.Connection) -> None:
    fill(journal, 2)
    changes = [
        Transition(1, "RUNNING", 10, generation=5),
        Transition(1, "FAILED", 20, generation=5, error="ERR_TIMEOUT", step=3),
        Transition(2, "RUNNING", 11, generation=5),
    ]
    assert apply_changes(journal, changes) == changes
    assert rows(journal) == [
        (1, "FAILED", 10, 5, 20, "ERR_TIMEOUT", 3),
        (2, "RUNNING", 11, 5, None, None, None),
    ]


def test_what_came_before_changes_nothing(journal: sqlite3.Connection) -> None:
    fill(journal, 1)
    begun, ended = Transition(1, "RUNNING", 10, generation=5), Transition(1, "COMPLETED", 20)
    assert apply_changes(journal, [begun]) == [begun]
    assert apply_changes(journal, [begun, ended]) == [ended]
    before = rows(journal)
    late = Transition(1, "CANCELLED", 30, error="late")
    assert apply_changes(journal, [begun, ended, late]) == []
    assert apply_changes(journal, [Transition(77, "RUNNING", 1)]) == [], "there is none"
    assert rows(journal) == before == [(1, "COMPLETED", 10, 5, 20, None, None)]


@pytest.mark.parametrize("seed", range(20))
def test_any_batches_are_as_one_after_the_other(seed: int) -> None:
    dice = random.Random(seed)
    count = dice.choice([1, 5, 33, 100])
    changes = []
    for number in range(4 * count):
        status: TaskStatus = dice.choice(["RUNNING", *ENDS])
        error = dice.choice([None, "ERR_LIMIT"]) if status in FINAL else None
        execution = dice.randint(1, count)
        changes.append(
            Transition(execution, status, number, number % 3, error, number if error else None)
        )
    found = []
    for batch in (1, dice.choice([2, 7, 40, 1000])):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(SCHEMA.create)
        fill(connection, count)
        applied: list[Transition] = []
        for first in range(0, len(changes), batch):
            applied += apply_changes(connection, changes[first : first + batch])
        found.append((applied, rows(connection)))
        connection.close()
    assert found[0] == found[1]
