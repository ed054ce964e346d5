"""What is active now: the executions without a final status, in memory.

The journal is the truth; this is the part of it that is worked on. One lock, no waiting under it.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Mapping
from typing import Final

from nonrt_process.interfaces import DuplicateActive, QueueFull
from nonrt_process.tasks.execution import FINAL, STATUSES, Execution, Transition
from shared.core import lib

MAX_IN_FLIGHT: Final = int(lib.MXRC_TASKS)
"""RT runs as many at once."""
_LOOK_AHEAD: Final = 64
"""Waiting executions looked at for one whose axes are free."""


class Book:
    """Active executions by id, those waiting in their order, those that RT has."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._by_task: dict[str, Execution] = {}
        self._by_id: dict[int, Execution] = {}
        self._in_flight: dict[int, Execution] = {}
        self._heap: list[tuple[tuple[int, int], int]] = []
        self._generation = 0
        self._last_id = 0
        self._counts: dict[str, int] = dict.fromkeys(STATUSES, 0)

    # ---- acceptance ----------------------------------------------------------------------------

    def load(self, executions: Iterable[Execution], last_id: int, counts: dict[str, int]) -> None:
        """Fill an empty book from the journal; nothing is sent before `open_generation`."""
        with self._changed:
            self._last_id = last_id
            self._counts = counts
            for execution in executions:
                self._by_task[execution.task_id] = execution
                self._by_id[execution.execution_id] = execution
                execution.written.set_result(None)

    def new_id(self, realtime_ns: int) -> int:
        """An execution id: microseconds since 1970, or one above the last. Never given twice.

        Below 2^53 until the year 2255, so that every JSON reader keeps all its digits.
        """
        with self._changed:
            self._last_id = max(self._last_id + 1, realtime_ns // 1000)
            return self._last_id

    def reserve(self, execution: Execution, retry_after_s: int) -> Execution:
        """Take a place for an execution that is about to become durable.

        Returns the execution, or the one that an earlier request with its key has started.

        Raises:
            DuplicateActive, QueueFull
        """
        with self._changed:
            other = self._by_task.get(execution.task_id)
            if other is not None:
                if execution.key is not None and other.key == execution.key:
                    return other
                raise DuplicateActive(
                    f"task {execution.task_id!r} is {other.status} (execution "
                    f"{other.execution_id}): wait for its end, cancel it, or use another task_id",
                    extensions={"execution_id": other.execution_id},
                )
            if self._waiting() >= self._limit:
                raise QueueFull(
                    f"{self._limit} tasks are waiting already (api.json: task_queue_max)",
                    retry_after_s,
                )
            self._by_task[execution.task_id] = execution
            self._by_id[execution.execution_id] = execution
            return execution

    def confirm(self, execution: Execution) -> None:
        """It is durable: it may be sent."""
        with self._changed:
            execution.durable = True
            self._counts["PENDING"] += 1
            self._enqueue(execution)

    def release(self, execution: Execution) -> None:
        """It did not become durable: it never was."""
        with self._changed:
            self._by_task.pop(execution.task_id, None)
            self._by_id.pop(execution.execution_id, None)

    # ---- generations ---------------------------------------------------------------------------

    def open_generation(self, generation: int, sent: Iterable[int]) -> None:
        """Begin to send to a generation; `sent`: executions that it has got already."""
        has = set(sent)
        with self._changed:
            self._generation = generation
            self._heap.clear()
            self._in_flight.clear()
            for execution in self._by_id.values():
                if not execution.durable:
                    continue
                execution.sent = execution.execution_id in has
                if execution.sent:
                    execution.generation = generation
                    self._in_flight[execution.execution_id] = execution
                else:
                    self._enqueue(execution)

    def close_generation(self) -> None:
        """Nothing is sent until the next `open_generation`."""
        with self._changed:
            self._generation = 0

    # ---- sending -------------------------------------------------------------------------------

    def pick(self, generation: int) -> Execution | None:
        """The next execution that RT has room for, marked as sent; None: there is none now.

        One that waits keeps the axes that it needs from those behind it in the order.
        """
        with self._changed:
            if generation != self._generation or len(self._in_flight) >= MAX_IN_FLIGHT:
                return None
            held = 0
            for execution in self._in_flight.values():
                # One that comes again gives its axes up in between: RT has the others take turns.
                if execution.mode == "once":
                    held |= execution.axes
            passed_over: list[tuple[tuple[int, int], int]] = []
            chosen = None
            while self._heap and len(passed_over) < _LOOK_AHEAD:
                entry = heapq.heappop(self._heap)
                execution = self._by_id.get(entry[1])  # type: ignore[assignment]
                if execution is None or execution.sent:
                    continue  # ended, or put back and sent since
                if execution.axes & held:
                    held |= execution.axes
                    passed_over.append(entry)
                    continue
                chosen = execution
                break
            for entry in passed_over:
                heapq.heappush(self._heap, entry)
            if chosen is not None:
                chosen.sent = True
                chosen.command = None
                chosen.generation = generation
                self._in_flight[chosen.execution_id] = chosen
            return chosen

    def sent_as(self, execution: Execution, generation: int, command: int) -> None:
        """Where it went."""
        with self._changed:
            execution.generation = generation
            execution.command = command

    def put_back(self, execution_id: int) -> None:
        """RT did not take it: it waits again."""
        with self._changed:
            execution = self._by_id.get(execution_id)
            if execution is not None and execution.sent:
                execution.sent = False
                execution.command = None
                self._in_flight.pop(execution_id, None)
                self._enqueue(execution)

    def wait(self, timeout_s: float) -> None:
        """Until something changed that may let an execution go."""
        with self._changed:
            self._changed.wait(timeout_s)

    def wake(self) -> None:
        """End a wait."""
        with self._changed:
            self._changed.notify_all()

    # ---- status --------------------------------------------------------------------------------

    def change(self, changes: Iterable[Transition]) -> None:
        """Changes that are durable now; of executions that are not active they are nothing."""
        with self._changed:
            for one in changes:
                execution = self._by_id.get(one.execution_id)
                if execution is None or execution.status == one.status:
                    continue
                self._counts[execution.status] -= 1
                self._counts[one.status] += 1
                execution.status = one.status
                if one.status in FINAL:
                    del self._by_id[one.execution_id]
                    self._by_task.pop(execution.task_id, None)
                    self._in_flight.pop(one.execution_id, None)
                else:
                    execution.started_ns = one.time_ns
            self._changed.notify_all()

    def ask_cancel(self, task_id: str) -> tuple[Execution | None, bool]:
        """The active execution of a task id, and whether it is cancelled by not being sent."""
        with self._changed:
            execution = self._by_task.get(task_id)
            if execution is None or not execution.durable:
                return None, False
            execution.cancel_requested = True
            at_once = not execution.sent
            if at_once:
                execution.sent = True  # nobody sends it any more
            return execution, at_once

    def undo_cancel(self, execution: Execution) -> None:
        """The cancellation of one that was not sent could not be made durable."""
        with self._changed:
            execution.cancel_requested = False
            execution.sent = False
            self._enqueue(execution)

    # ---- looking -------------------------------------------------------------------------------

    def get(self, execution_id: int) -> Execution | None:
        """An active execution."""
        with self._changed:
            return self._by_id.get(execution_id)

    def active(self) -> list[Execution]:
        """All of them that are durable, in the order of acceptance."""
        with self._changed:
            return [execution for execution in self._by_id.values() if execution.durable]

    def in_flight(self) -> list[Execution]:
        """Those that RT has got."""
        with self._changed:
            return list(self._in_flight.values())

    def depth(self) -> int:
        """How many wait to be sent."""
        with self._changed:
            return self._waiting()

    def counts(self) -> dict[str, int]:
        """Executions by status, those in the journal included."""
        with self._changed:
            return dict(self._counts)

    def forget(self, counts: Mapping[str, int]) -> None:
        """The journal has deleted old rows: so many by status."""
        with self._changed:
            for status, count in counts.items():
                self._counts[status] -= count

    def _waiting(self) -> int:
        return len(self._by_id) - len(self._in_flight)

    def _enqueue(self, execution: Execution) -> None:
        heapq.heappush(self._heap, (execution.order, execution.execution_id))
        self._changed.notify_all()
