"""Changes of status on their way into the journal, many by two statements: see chunks.

A short task begins and ends in one batch: that is one change of its row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from nonrt_process.chunks import SIZES, chunks
from nonrt_process.interfaces import TaskStatus
from nonrt_process.tasks.execution import FINAL, Transition, may_change

_COLUMNS: Final = ("status", "started_ns", "generation", "ended_ns", "error", "step")
_STATUSES: Final = {
    count: "SELECT json_group_object(execution_id, status) FROM execution "  # noqa: S608
    f"WHERE execution_id IN ({', '.join('?' * count)})"
    for count in SIZES
}
# NULL keeps what is there: a later change knows nothing of what an earlier one has written.
_UPDATE: Final = {
    count: f"WITH change (id, {', '.join(_COLUMNS)}) AS "  # noqa: S608
    f"(VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * count)}) UPDATE execution SET "
    + ", ".join(f"{name} = coalesce(change.{name}, execution.{name})" for name in _COLUMNS)
    + " FROM change WHERE execution.execution_id = change.id"
    for count in SIZES
}


def apply_changes(
    connection: sqlite3.Connection, changes: Sequence[Transition]
) -> list[Transition]:
    """Within a transaction; returns those that changed something, in order."""
    applied: list[Transition] = []
    of: dict[int, list[Transition]] = {}
    for one in changes:
        of.setdefault(one.execution_id, []).append(one)
    for some in chunks(list(of.items())):
        applied += _apply(connection, dict(some))
    if len(applied) == len(changes):
        return list(changes)
    kept = set(map(id, applied))
    return [one for one in changes if id(one) in kept]


def _apply(connection: sqlite3.Connection, of: dict[int, list[Transition]]) -> list[Transition]:
    """Those of one chunk."""
    found = connection.execute(_STATUSES[len(of)], tuple(of)).fetchone()[0]
    statuses: dict[str, TaskStatus] = json.loads(found)
    applied: list[Transition] = []
    rows: list[list[Any]] = []
    for execution_id, changes in of.items():
        row: list[Any] | None = None
        status = statuses.get(str(execution_id))
        for one in changes:
            if status is None or not may_change(status, one.status):
                continue
            row = row or [execution_id, *[None] * len(_COLUMNS)]
            status = row[1] = one.status
            if status in FINAL:
                row[4:] = one.time_ns, one.error, one.step
            else:
                row[2:4] = one.time_ns, one.generation
            applied.append(one)
        if row is not None:
            rows.append(row)
    for some in chunks(rows):
        connection.execute(_UPDATE[len(some)], [value for row in some for value in row])
    return applied
