"""The consumer that follows executions: status and replies of RT, and what was missed of them.

An execution that RT has got is in one of three places: in the command queue, in the state block, or
in an event that ends it (or refuses it). One that is in none of them although everything has been
read is looked at a few times and then settled, so that nothing accepted stays open for ever.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer, NotYet
from nonrt_process.interfaces import CommandPort, Problem, TaskStatus
from nonrt_process.tasks.book import Book
from nonrt_process.tasks.execution import Execution, Transition
from nonrt_process.tasks.stops import Stops
from shared.anchors import Anchors
from shared.clock import Clock
from shared.enums import CommandKind, EventKind, RegionId, Result, RtState, name_of
from shared.enums import TaskStatus as RtTaskStatus
from shared.ring import RingReader
from shared.sqlite_store import StoreError
from shared.state_block import read_state

if TYPE_CHECKING:
    from shared.segment import Segment

BUSY_INTERVAL_S: Final = 0.005
IDLE_INTERVAL_S: Final = 0.02
BUSY_NS: Final = 100_000_000
"""How long after something happened to a task the next thing is expected soon."""
LOOK_NS: Final = 500_000_000
LOOKS: Final = 3
"""Times that an execution is not to be found before it is settled."""
CANCEL_AGAIN_NS: Final = 1_000_000_000
CLEAN_START: Final = 0
"""rt_status.last_recovery"""

WAITS_FOR: Final = frozenset(
    {
        Result.ERR_STATE,
        Result.ERR_BUSY,
        Result.ERR_SAFE_MODE,
        Result.ERR_ERROR_STATE,
    }
)
"""Refusals that pass: the execution waits and is sent again."""

_STATUS: Final[dict[int, TaskStatus]] = {
    RtTaskStatus.RUNNING: "RUNNING",
    RtTaskStatus.COMPLETED: "COMPLETED",
    RtTaskStatus.FAILED: "FAILED",
    RtTaskStatus.CANCELLED: "CANCELLED",
    RtTaskStatus.TIMEOUT: "FAILED",
}
# As plain numbers: the name of a member is looked up in Python each time, for every event.
_TASK: Final = int(EventKind.TASK)
_REPLY: Final = int(EventKind.REPLY)
_OK: Final = int(Result.OK)


class _Event(NamedTuple):
    """The fields of a record that are read here. time_ns: realtime."""

    time_ns: int
    kind: int
    code: int
    error_code: int
    execution_id: int
    reply_to: int
    step: int


LOST: Final = "outcome unknown: the events of its end were overwritten before they were read"


class TaskEvents(Consumer):
    """Keeps journal and book in step with RT.

    settle: makes changes durable and enters them in the book; raises StoreError.
    sending: see Dispatcher.
    """

    name = "tasks"
    wants_events = True
    interval_s = IDLE_INTERVAL_S

    def __init__(
        self,
        book: Book,
        settle: Callable[[list[Transition]], None],
        sending: threading.Lock,
        port: Callable[[], CommandPort],
        clock: Clock,
        log: logging.Logger,
        stops: Stops,
    ) -> None:
        super().__init__()
        self._stops = stops
        self._undecided: tuple[list[Execution], list[int]] | None = None
        self._book = book
        self._settle = settle
        self._sending = sending
        self._port = port
        self._clock = clock
        self._log = log
        self._segment: Segment | None = None
        self._anchors: Anchors | None = None
        self._commands: RingReader | None = None
        self._missing: dict[int, int] = {}
        self._cancelled_at: dict[int, int] = {}
        self._looked_ns = 0
        self._happened_ns = 0
        self._lost_events = False

    # ---- generations ---------------------------------------------------------------------------

    def on_attach(self, segment: Segment) -> None:
        """Sort out what the new generation knows of what is active."""
        generation = segment.generation
        commands = RingReader(segment, RegionId.COMMANDS)
        started = _starts(commands)
        under_way = _under_way(segment)
        changes: list[Transition] = []
        sent: list[int] = []
        left_over: list[Execution] = []
        now = self._clock.realtime_ns()
        for execution in self._book.active():
            known = (
                execution.execution_id in started
                or execution.execution_id in under_way
                or execution.generation == generation
            )
            if known:
                sent.append(execution.execution_id)
                execution.command = started.get(execution.execution_id)
            elif execution.cancel_requested:
                changes.append(Transition(execution.execution_id, "CANCELLED", now))
            else:
                left_over.append(execution)
        self._settle(changes)
        self._segment, self._commands = segment, commands
        self._anchors = Anchors(segment)
        self._missing.clear()
        self._lost_events = False
        self._undecided = (left_over, sent)
        self._decide(segment)

    def _decide(self, segment: Segment) -> None:
        """Begin to send, once it is known what RT goes on from: from its first heartbeat on."""
        if self._undecided is None:
            return
        left_over, sent = self._undecided
        if left_over or sent:
            status = segment.rt_status
            if not int(status.heartbeat_ns):
                return
            changes = self._ends_with_restart(left_over)
            if int(status.last_recovery) == CLEAN_START:
                # The generation is named by the realtime of its creation.
                began_ns = segment.generation
                if int(status.epoch) > 1:
                    # RT began anew in it: it did not live to finish a stop, or its state was lost.
                    assert self._anchors is not None, "attached"
                    began_ns = self._anchors.realtime_ns(int(status.started_ns))
                    had = [one for one in self._book.active() if one.execution_id in sent]
                    self._stops.abandon(one for one in had if one.accepted_ns < began_ns)
                older = [one for one in left_over if one.accepted_ns < began_ns]
                changes += self._stops.begun_anew(older)
            self._settle(changes)
        self._undecided = None
        self._book.open_generation(segment.generation, sent)

    def _ends_with_restart(self, left_over: list[Execution]) -> list[Transition]:
        now = self._clock.realtime_ns()
        reason = name_of(Result, Result.ERR_RESTART)
        return [
            Transition(execution.execution_id, "FAILED", now, error=reason)
            for execution in left_over
            if execution.status == "RUNNING" and execution.on_restart == "fail"
        ]

    def on_detach(self) -> None:
        self._book.close_generation()
        self._undecided = None
        if self._segment is not None and _is_shut_down(self._segment):
            self._stops.stopped()
        self._segment = self._anchors = self._commands = None

    # ---- events --------------------------------------------------------------------------------

    def on_batch(self, batch: Batch) -> None:
        self._lost_events = self._lost_events or batch.lost_events > 0
        kinds = batch.events["kind"]
        events = batch.events[(kinds == _TASK) | (kinds == _REPLY)]
        if not len(events):
            return
        self._happened_ns = self._clock.monotonic_ns()
        assert self._anchors is not None, "attached before the first batch"
        times = self._anchors.realtime_array(events["time_ns"]).tolist()
        columns = [events[name].tolist() for name in _Event._fields[1:]]
        changes: list[Transition] = []
        waiting: list[int] = []
        with self._sending:  # the numbers of all commands that were answered are known now
            for one in map(_Event._make, zip(times, *columns, strict=True)):
                if one.kind == _TASK:
                    change = _transition(one, batch.generation)
                else:
                    change = self._refusal(one, waiting)
                if change is not None:
                    changes.append(change)
        try:
            self._settle(changes)
        except StoreError as error:
            raise NotYet(str(error)) from error
        for execution_id in waiting:
            self._book.put_back(execution_id)

    def _refusal(self, event: _Event, waiting: list[int]) -> Transition | None:
        """What a reply means for the execution that was to be started; None: nothing."""
        if event.code == _OK:
            return None
        execution = self._book.get(event.execution_id)
        if execution is None or execution.command != event.reply_to:
            return None  # to a cancellation, or to an earlier attempt
        if execution.cancel_requested:
            return Transition(execution.execution_id, "CANCELLED", event.time_ns)
        if event.code in WAITS_FOR:
            waiting.append(execution.execution_id)
            return None
        return Transition(
            execution.execution_id,
            "FAILED",
            event.time_ns,
            error=f"refused by RT: {name_of(Result, event.code)}",
            step=event.step if event.step < 0xFFFFFFFF else None,
        )

    # ---- what was missed -----------------------------------------------------------------------

    def on_tick(self, now_ns: int) -> None:
        in_flight = self._book.in_flight()
        # A long task must not cost 200 looks a second all the while.
        busy = bool(in_flight) and now_ns - self._happened_ns < BUSY_NS
        self.interval_s = BUSY_INTERVAL_S if busy else IDLE_INTERVAL_S
        if self._segment is None:
            return
        self._decide(self._segment)
        if _is_shut_down(self._segment):
            self._stops.stopped()
        if now_ns - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = now_ns
        self._cancel_again(in_flight, now_ns)
        self._look_for_missing(self._segment, in_flight)

    def _cancel_again(self, in_flight: list[Execution], now_ns: int) -> None:
        wanted = {one.execution_id: one for one in in_flight if one.cancel_requested}
        self._cancelled_at = {key: at for key, at in self._cancelled_at.items() if key in wanted}
        for execution_id, execution in wanted.items():
            if now_ns - self._cancelled_at.get(execution_id, 0) >= CANCEL_AGAIN_NS:
                self._cancelled_at[execution_id] = now_ns
                try:
                    self._port().send_cancel(execution_id, execution.trace)
                except Problem:
                    continue  # no RT process now: later

    def _look_for_missing(self, segment: Segment, in_flight: list[Execution]) -> None:
        """Settle what is neither in the command queue nor in the state block nor in an event.

        All events up to now were read before this; those of an end precede the state block that
        no longer has the execution. So what is missing in this state block and still open
        after the next reading has no event.
        """
        state = read_state(segment) if in_flight else None
        if state is None or "executive" not in state:
            self._missing.clear()
            return
        tail = state["executive"]["command_tail"]
        under_way = {task["execution_id"] for task in state["tasks"]}
        missing: dict[int, int] = {}
        for execution in in_flight:
            with self._sending:
                queued = execution.command is not None and execution.command >= tail
            if not queued and execution.execution_id not in under_way:
                missing[execution.execution_id] = self._missing.get(execution.execution_id, 0) + 1
        self._missing = missing
        for execution_id, looks in list(missing.items()):
            if looks >= LOOKS:
                self._settle_missing(execution_id)
                del missing[execution_id]

    def _settle_missing(self, execution_id: int) -> None:
        execution = self._book.get(execution_id)
        if execution is None:
            return
        now = self._clock.realtime_ns()
        if execution.status == "PENDING" and not self._lost_events:
            # Refused, and the answer was read before a restart of this process.
            if execution.cancel_requested:
                self._settle([Transition(execution_id, "CANCELLED", now)])
            else:
                self._book.put_back(execution_id)
            return
        self._log.error("Task %s (execution %d): %s", execution.task_id, execution_id, LOST)
        self._settle([Transition(execution_id, "FAILED", now, error=LOST)])


def _is_shut_down(segment: Segment) -> bool:
    return int(segment.rt_status.state) == RtState.SHUTDOWN


def _transition(event: _Event, generation: int) -> Transition | None:
    status = _STATUS.get(event.code)
    if status is None:
        return None
    failed = status == "FAILED"
    return Transition(
        event.execution_id,
        status,
        event.time_ns,
        generation=generation,
        error=name_of(Result, event.error_code) if failed and event.error_code else None,
        step=event.step if status in ("FAILED", "CANCELLED") else None,
    )


def _under_way(segment: Segment) -> set[int]:
    """What RT has by its state block: a task that has not begun yet may be older than the ring."""
    state = read_state(segment) or {}
    return {task["execution_id"] for task in state.get("tasks", [])}


def _starts(commands: RingReader) -> dict[int, int]:
    """Execution -> number of the newest start command for it that is still in the ring."""
    found: dict[int, int] = {}
    for number in range(max(0, commands.head - commands.capacity), commands.head):
        record = commands.read_one(number)
        if record is not None and int(record["kind"][0]) == CommandKind.TASK_START:
            found[int(record["execution_id"][0])] = number
    return found
