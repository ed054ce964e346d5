"""TaskService: accepts tasks durably, tells about them, ends them."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    Accepted,
    CommandPort,
    DuplicateActive,
    InvalidTask,
    KeyUsed,
    NotPrimary,
    Problem,
    TaskEnded,
    TaskMode,
    TaskNotBegun,
    TaskStatus,
    UnknownTask,
)
from nonrt_process.outcome import Outcome
from nonrt_process.tasks import definitions
from nonrt_process.tasks.added import AddedDefinitions
from nonrt_process.tasks.book import Book
from nonrt_process.tasks.execution import FINAL, Execution, Transition
from nonrt_process.tasks.journal import Journal
from shared.enums import CommandKind, RtState
from shared.sqlite_store import StoreError
from shared.state_block import read_state
from shared.trace_context import TraceContext

RT_ABSENT_NS: Final = 5_000_000_000
"""A restart takes less; tasks are accepted during one."""
MAX_RETRY_AFTER_S: Final = 60
_RATE_WINDOW: Final = 64
_SHUTDOWN: Final = int(RtState.SHUTDOWN)


class Tasks:
    """See interfaces.TaskService; in addition it keeps what a request's headers carried."""

    def __init__(
        self,
        context: Context,
        book: Book,
        journal: Journal,
        log: logging.Logger,
        added: AddedDefinitions | None = None,
    ) -> None:
        self._context = context
        self._added = added
        self._book = book
        self._journal = journal
        self._log = log
        self._ends: deque[int] = deque(maxlen=_RATE_WINDOW)

    # ---- accepting -----------------------------------------------------------------------------

    def start(
        self,
        task_id: str,
        mode: TaskMode,
        definition: str | None,
        parameters: Mapping[str, Any],
        trace: TraceContext,
        *,
        tracestate: str = "",
        baggage: str = "",
        key: str | None = None,
    ) -> Outcome[Accepted]:
        """Ends once the task is on disk. key: a second request with it starts nothing more."""
        self._refuse_unless_primary()
        config = self._added.merged() if self._added else self._context.config.current
        refused = self._added.refused(definition or task_id) if self._added else None
        if refused is not None:
            raise InvalidTask(f"the definition does not fit this machine any more: {refused}")
        found = definitions.find(config, task_id, definition)
        checked = definitions.check(config, found, task_id, mode, parameters)
        now = self._context.clock.realtime_ns()
        execution = Execution(
            execution_id=self._book.new_id(now),
            task_id=task_id,
            definition=found.key,
            digest=checked.digest,
            mode=mode,
            parameters=dict(parameters),
            priority=found.priority,
            axes=checked.axes,
            on_restart=found.on_restart,
            trace=trace,
            accepted_ns=now,
            tracestate=tracestate,
            baggage=baggage,
            key=key,
        )
        accepted: Outcome[Accepted] = Outcome()
        if key is not None and (row := self._journal.by_key(key)) is not None:
            accepted.set_result(_accepted_before(execution, row))
            return accepted
        kept = self._book.reserve(execution, self._retry_after_s())
        kept.written.add_done_callback(lambda done: self._answer(accepted, execution, kept, done))
        if kept is execution:
            try:
                written = self._journal.accept(execution, checked.document)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                self._book.release(execution)
                execution.written.set_exception(error)
            else:
                written.add_done_callback(lambda done: self._written(execution, done))
        return accepted

    def _written(self, execution: Execution, done: Outcome[None]) -> None:
        """In the thread that writes: whether anybody still waits for the answer or not."""
        error = done.exception()
        if error is None:
            self._book.confirm(execution)
            execution.written.set_result(None)
        else:
            self._book.release(execution)
            execution.written.set_exception(error)

    def _answer(
        self, accepted: Outcome[Accepted], asked: Execution, kept: Execution, done: Outcome[None]
    ) -> None:
        """`kept` was written, or not; it is another one than `asked` when that one is a retry."""
        error = done.exception()
        try:
            if isinstance(error, sqlite3.IntegrityError):
                row = None if asked.key is None else self._journal.by_key(asked.key)
                if row is None:
                    raise DuplicateActive(f"task {asked.task_id!r} is still active")
                accepted.set_result(_accepted_before(asked, row))
            elif isinstance(error, StoreError):
                raise NotPrimary(f"the task cannot be made durable now: {error}")
            elif isinstance(error, (sqlite3.Error, TypeError, ValueError)):
                raise InvalidTask(f"the task cannot be kept: {error}")
            elif error is not None:
                raise error
            else:
                _refuse_other_request(asked, kept.definition, kept.mode, kept.parameters)
                trace_id = kept.trace.trace_id.hex()
                accepted.set_result(Accepted(kept.task_id, kept.execution_id, trace_id))
        except Exception as problem:  # noqa: BLE001 - handed to whoever asked
            accepted.set_exception(problem)

    def _refuse_unless_primary(self) -> None:
        segment = self._context.segment
        if segment is None:
            raise NotPrimary("no RT process is attached: start mxrc-rt, or see `mxrc doctor`")
        if segment.primary() is None:
            raise NotPrimary("no RT process is PRIMARY yet: try again")
        status = segment.rt_status
        if int(status.state) == _SHUTDOWN:
            raise NotPrimary("the RT process was stopped: start mxrc-rt")
        age = self._context.clock.monotonic_ns() - int(status.heartbeat_ns)
        if age > RT_ABSENT_NS:
            raise NotPrimary(f"the RT process has not run a cycle for {age / 1e9:.0f} s")

    def _retry_after_s(self) -> int:
        """About the time in which one waiting task goes."""
        if len(self._ends) < 2:
            return 1
        spacing_s = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1) / 1e9
        return max(1, min(MAX_RETRY_AFTER_S, round(spacing_s)))

    # ---- status --------------------------------------------------------------------------------

    def settle(self, transitions: list[Transition]) -> None:
        """Make changes of status durable, then known. Raises StoreError."""
        applied = self._journal.apply(transitions)
        if applied:
            self._book.change(applied)
            self._ends.extend(one.time_ns for one in applied if one.status in FINAL)

    # ---- telling -------------------------------------------------------------------------------

    def list(self, offset: int, limit: int, status: TaskStatus | None) -> dict[str, Any]:
        """A page of tasks, newest first."""
        rows, total = self._journal.page(offset, limit, status)
        under_way = self._under_way()
        return {
            "tasks": [self._with_progress(row, under_way) for row in rows],
            "total": total,
            "offset": offset,
            "limit": limit,
        }

    def get(self, task_id: str) -> dict[str, Any]:
        """The newest execution of a task id, with what it is doing now."""
        row = self._journal.newest(task_id)
        if row is None:
            raise UnknownTask(f"no task {task_id!r} was accepted, or it is no longer kept")
        return self._with_progress(row, self._under_way())

    def _under_way(self) -> dict[int, dict[str, Any]]:
        """Execution id -> what RT says of a task that it has, in the state block."""
        segment = self._context.segment
        state = read_state(segment) if segment is not None else None
        return {task["execution_id"]: task for task in (state or {}).get("tasks", [])}

    def _with_progress(
        self, row: Mapping[str, Any], under_way: Mapping[int, dict[str, Any]]
    ) -> dict[str, Any]:
        described = _described(row)
        execution = self._book.get(row["execution_id"])
        if execution is not None:
            described.update(self._progress(execution, under_way))
        return described

    def _progress(
        self, execution: Execution, under_way: Mapping[int, dict[str, Any]]
    ) -> dict[str, Any]:
        if not execution.sent:
            holders = [one.task_id for one in self._book.in_flight() if one.axes & execution.axes]
            return {"waiting_for": holders} if holders else {}
        task = under_way.get(execution.execution_id)
        if task is None:
            return {}
        found = {key: task[key] for key in ("step", "action", "runs", "progress", "paused")}
        holder = self._book.get(task["waits_for"]) if task["waits_for"] else None
        return {**found, "waiting_for": [holder.task_id]} if holder is not None else found

    def counts_by_status(self) -> Mapping[str, int]:
        """Tasks kept, by status."""
        return self._book.counts()

    def queue_depth(self) -> int:
        """Accepted tasks that RT has not been sent yet."""
        return self._book.depth()

    def carried(self, execution_id: int) -> tuple[str, str]:
        """See interfaces.RequestContexts."""
        if not 0 < execution_id < 1 << 63:
            return "", ""
        try:
            return self._journal.carried(execution_id)
        except StoreError:
            return "", ""

    # ---- steering --------------------------------------------------------------------------------

    def pause(self, task_id: str, trace: TraceContext | None = None) -> dict[str, Any]:
        """Hold its axes until `resume`; not kept across a new generation of the segment."""
        return self._steer(task_id, CommandKind.TASK_PAUSE, trace)

    def resume(self, task_id: str, trace: TraceContext | None = None) -> dict[str, Any]:
        """Go on where `pause` held it."""
        return self._steer(task_id, CommandKind.TASK_RESUME, trace)

    def _steer(self, task_id: str, kind: CommandKind, trace: TraceContext | None) -> dict[str, Any]:
        described = self.get(task_id)
        if described["status"] in FINAL:
            raise TaskEnded(
                f"task {task_id!r} has ended: {described['status']}",
                extensions={"status": described["status"]},
            )
        execution = self._book.get(described["execution_id"])
        if execution is None or not execution.sent:
            raise TaskNotBegun(f"task {task_id!r} waits to be begun: cancel it, or wait")
        self._context.require(CommandPort).call_task(kind, execution.execution_id, trace)
        return self.get(task_id)

    # ---- ending --------------------------------------------------------------------------------

    def cancel(self, task_id: str) -> dict[str, Any]:
        """Ask for its end. What RT has not got ends at once, what it has got by an event."""
        execution, at_once = self._book.ask_cancel(task_id)
        if execution is None:
            described = self.get(task_id)
            if described["status"] not in FINAL:
                raise NotPrimary(f"task {task_id!r} is just being accepted: try again")
            raise TaskEnded(
                f"task {task_id!r} has ended: {described['status']}",
                extensions={"status": described["status"]},
            )
        try:
            if at_once:
                now = self._context.clock.realtime_ns()
                self.settle([Transition(execution.execution_id, "CANCELLED", now)])
            else:
                self._journal.request_cancel(execution.execution_id)
                self._send_cancel(execution)
        except StoreError as error:
            if at_once:
                self._book.undo_cancel(execution)
            raise NotPrimary(f"the cancellation cannot be made durable now: {error}") from error
        return self.get(task_id)

    def _send_cancel(self, execution: Execution) -> None:
        try:
            self._context.require(CommandPort).send_cancel(execution.execution_id, execution.trace)
        except Problem as error:
            # It is asked for again until the execution has ended.
            self._log.warning("Cancelling %s has to wait: %s", execution.task_id, error.detail)


def _accepted_before(asked: Execution, row: Mapping[str, Any]) -> Accepted:
    """The answer to a request that was accepted before, and came again."""
    if row["task_id"] != asked.task_id:
        raise KeyUsed(f"Idempotency-Key {asked.key!r} has started task {row['task_id']!r}")
    _refuse_other_request(asked, row["definition"], row["mode"], json.loads(row["parameters"]))
    return Accepted(row["task_id"], row["execution_id"], row["trace_id"].hex())


def _refuse_other_request(
    asked: Execution, definition: str, mode: str, parameters: Mapping[str, Any]
) -> None:
    same = (asked.definition, asked.mode, asked.parameters) == (definition, mode, parameters)
    if not same:
        raise KeyUsed(
            f"Idempotency-Key {asked.key!r} has started task {asked.task_id!r} with another "
            "definition, mode or parameters: a new request needs a new key"
        )


def _described(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task_id": row["task_id"],
        "execution_id": row["execution_id"],
        "definition": row["definition"],
        "mode": row["mode"],
        "parameters": json.loads(row["parameters"]),
        "priority": row["priority"],
        "status": row["status"],
        "trace_id": row["trace_id"].hex(),
        "accepted_at": _time(row["accepted_ns"]),
        "started_at": _time(row["started_ns"]),
        "ended_at": _time(row["ended_ns"]),
        "cancel_requested": bool(row["cancel_requested"]),
        "error": row["error"],
        "step": row["step"],
    }


def _time(realtime_ns: int | None) -> str | None:
    if realtime_ns is None:
        return None
    moment = datetime.fromtimestamp(realtime_ns / 1e9, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
