"""The thread of one consumer: reads the rings from its cursor on and hands it batches.

A pump never dies of what its consumer does, and never holds up another one. When the generation
ends it reads what is left before it lets go, and at the end of the process once more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nonrt_process.batch import Batch
from nonrt_process.consumer import CURSOR_USER_WORDS, Consumer, NotYet
from nonrt_process.interfaces import ConsumerFigures
from nonrt_process.quiet import Quiet
from shared.core import lib, to_text
from shared.enums import CycleFlag, EventKind, RegionId
from shared.layout import CYCLE_DTYPE, EVENT_DTYPE, Records
from shared.ring import RingReader

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.segment import Segment

NAME_BYTES = 23
MAX_BATCHES_PER_TURN = 256
_MASK = (1 << 64) - 1

_claiming = threading.Lock()


class _Position:
    """Where a consumer is in one generation: its readers and its cursor in the segment."""

    def __init__(self, segment: Segment, consumer: Consumer) -> None:
        self.segment = segment
        self.lanes: dict[int, RingReader] = {}
        self.cycles: RingReader | None = None
        self.lost_events = 0
        self.lost_cycles = 0
        self._table: Any = None
        self._index = 0
        if not (consumer.wants_events or consumer.wants_cycles):
            consumer.cursor_user = [0] * CURSOR_USER_WORDS
            return
        self._table, self._index = _claim(segment, consumer.name)
        stored = self._cursor
        if consumer.wants_events:
            for lane in segment.lanes():
                reader = RingReader(segment, RegionId.LANE + lane)
                reader.cursor = _first(reader, int(stored.lane[lane]), consumer)
                self.lanes[lane] = reader
        if consumer.wants_cycles:
            self.cycles = RingReader(segment, RegionId.CYCLE_RING)
            self.cycles.cursor = _first(self.cycles, int(stored.cycle), consumer)
        self.lost_events = int(stored.lost_events)
        self.lost_cycles = int(stored.lost_cycles)
        self._store_cursor()
        consumer.cursor_user = [int(word) for word in stored.user]

    @property
    def _cursor(self) -> Any:
        # Through the table each time: a pointer to the element would not keep it mapped.
        return self._table.cursor[self._index]

    def read(self, limit: int) -> Batch | None:
        """What is new, at most `limit` events and cycles; None when there is nothing."""
        if not self._news():
            return None
        parts, lanes, keys = [], [], []
        lost_events = lost_cycles = 0
        ranges = {}
        share = max(1, limit // max(1, len(self.lanes)))
        for lane, reader in self.lanes.items():
            first = reader.cursor
            records, lost = reader.read(share)
            lost_events += lost
            if reader.cursor != first:
                ranges[lane] = (first, reader.cursor)
            if len(records):
                parts.append(records)
                lanes.append(np.full(len(records), lane, np.uint8))
                # A running maximum, so that sorting never changes the order within a lane.
                keys.append(np.maximum.accumulate(records["time_ns"]))
        events, numbers = _merge(parts, lanes, keys)
        cycles: Records = np.empty(0, CYCLE_DTYPE)
        if self.cycles is not None:
            cycles, lost_cycles = self.cycles.read(limit)
        if not (len(events) or len(cycles) or lost_events or lost_cycles):
            return None
        whole = events["kind"] != EventKind.TOMBSTONE
        if not whole.all():
            events, numbers = events[whole], numbers[whole]
        tombstones = (cycles["flags"] & int(CycleFlag.TOMBSTONE)) != 0
        if tombstones.any():
            cycles = cycles[~tombstones]
        return Batch(
            self.segment.generation, events, numbers, cycles, lost_events, lost_cycles, ranges
        )

    def _news(self) -> bool:
        """Most turns find nothing: they must cost little."""
        if self.cycles is not None and self.cycles.head != self.cycles.cursor:
            return True
        return any(reader.head != reader.cursor for reader in self.lanes.values())

    def store_user(self, words: list[int]) -> None:
        if self._table is not None:
            for index, word in enumerate(words[:CURSOR_USER_WORDS]):
                self._cursor.user[index] = int(word) & _MASK

    def store(self, batch: Batch, given_up: bool) -> None:
        """Move the cursor behind what was read; a batch given up counts as lost."""
        self.lost_events += batch.lost_events + (len(batch.events) if given_up else 0)
        self.lost_cycles += batch.lost_cycles + (len(batch.cycles) if given_up else 0)
        self._store_cursor()

    def _store_cursor(self) -> None:
        cursor = self._cursor
        cursor.lost_events = self.lost_events
        cursor.lost_cycles = self.lost_cycles
        for lane, reader in self.lanes.items():
            cursor.lane[lane] = reader.cursor
        if self.cycles is not None:
            cursor.cycle = self.cycles.cursor

    def go_back(self) -> None:
        """Read the last batch again: the cursor in the segment was not moved."""
        cursor = self._cursor
        for lane, reader in self.lanes.items():
            reader.cursor = int(cursor.lane[lane])
        if self.cycles is not None:
            self.cycles.cursor = int(cursor.cycle)

    def lag(self) -> tuple[int, int]:
        events = sum(max(0, reader.head - reader.cursor) for reader in self.lanes.values())
        cycles = 0 if self.cycles is None else max(0, self.cycles.head - self.cycles.cursor)
        return events, cycles


def _first(reader: RingReader, cursor: int, consumer: Consumer) -> int:
    """Where a consumer begins in a ring. cursor: behind what it has taken."""
    if not consumer.goes_on:
        return reader.head
    # A lapped reader jumps to where the writer is not about to come by (ring.c); so does this.
    oldest = reader.head - reader.capacity + reader.capacity // 16
    return min(cursor, max(0, cursor - consumer.goes_back, oldest))


def _merge(parts: list[Any], lanes: list[Any], keys: list[Any]) -> tuple[Records, Any]:
    if not parts:
        return np.empty(0, EVENT_DTYPE), np.empty(0, np.uint8)
    if len(parts) == 1:
        return parts[0], lanes[0]
    order = np.argsort(np.concatenate(keys), kind="stable")
    return np.concatenate(parts)[order], np.concatenate(lanes)[order]


def _claim(segment: Segment, name: str) -> tuple[Any, int]:
    """The table of cursors and the consumer's place in it: by name, else the first free one.

    Raises:
        RuntimeError: all MXRC_CONSUMERS are taken.
    """
    table = segment.cursors
    with _claiming:
        for index in range(lib.MXRC_CONSUMERS):
            cursor = table.cursor[index]
            found = to_text(cursor.name)
            if not found:
                cursor.name = name.encode()
            if found in ("", name):
                return table, index
    raise RuntimeError(f"no cursor left for consumer {name!r} in {segment.name}")


class Surroundings(Protocol):
    """What a pump needs; a Context is one."""

    @property
    def segment(self) -> Segment | None: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def log(self) -> logging.Logger: ...


class Pump:
    """Runs a consumer. `turn` is the whole of the work: a test can do without the thread."""

    def __init__(self, context: Surroundings, consumer: Consumer) -> None:
        if not 0 < len(consumer.name.encode()) <= NAME_BYTES:
            raise ValueError(f"consumer name {consumer.name!r}: 1 to {NAME_BYTES} bytes")
        self.consumer = consumer
        self.failures = 0
        self._context = context
        self._log = context.log.getChild("pump")
        self._quiet = Quiet(self._log, context.clock)
        self._position: _Position | None = None
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"pump-{consumer.name}"[:15], daemon=True
        )

    def start(self) -> None:
        """Start the thread, unless it runs already."""
        if self._thread.ident is None:
            self._thread.start()

    def wake(self) -> None:
        """Look at the rings now instead of at the end of the interval."""
        self._wake.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Read what is left, then end the thread; False when it did not end in time."""
        self._ending.set()
        self._wake.set()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def figures(self) -> ConsumerFigures:
        """How it keeps up; from any thread."""
        position = self._position
        lag_events, lag_cycles = (0, 0) if position is None else position.lag()
        return ConsumerFigures(
            name=self.consumer.name,
            lag_events=lag_events,
            lag_cycles=lag_cycles,
            lost_events=0 if position is None else position.lost_events,
            lost_cycles=0 if position is None else position.lost_cycles,
            failures=self.failures,
            alive=self._thread.is_alive(),
        )

    def turn(self) -> None:
        """Follow the generation, hand over what is new, tick. Never raises."""
        try:
            self._follow(self._context.segment)
            self._drain()
        except Exception as error:  # noqa: BLE001 - a pump outlives whatever goes wrong in it
            self._complain("turn", error)
        self._call("on_tick", self.consumer.on_tick, self._context.clock.monotonic_ns())
        if self._position is not None:
            self._position.store_user(self.consumer.cursor_user)

    def close(self) -> None:
        """Read what is left and let go of the generation."""
        try:
            self._drain()
            self._detach()
        except Exception as error:  # noqa: BLE001 - see turn
            self._complain("close", error)

    def _run(self) -> None:
        while not self._ending.is_set():
            self.turn()
            self._wake.wait(self.consumer.interval_s)
            self._wake.clear()
        self.close()

    def _follow(self, segment: Segment | None) -> None:
        if self._position is not None and self._position.segment is not segment:
            self._drain()
            self._say_left()
            self._detach()
        if segment is not None and self._position is None:
            position = _Position(segment, self.consumer)
            self.consumer.on_attach(segment)
            self._position = position

    def _say_left(self) -> None:
        """The generation goes, and the consumer could not take what is left of it."""
        events, cycles = (0, 0) if self._position is None else self._position.lag()
        if events or cycles:
            self._quiet.say(
                logging.ERROR,
                "left",
                f"Consumer {self.consumer.name} lost {events} events and {cycles} cycles: their "
                "segment was replaced before it could take them",
            )
            self._call("on_left", self.consumer.on_left, events, cycles)

    def _detach(self) -> None:
        position = self._position
        if position is None:
            return
        self._call("on_detach", self.consumer.on_detach)
        position.store_user(self.consumer.cursor_user)
        self._position = None

    def _drain(self) -> None:
        position = self._position
        if position is None:
            return
        for _ in range(MAX_BATCHES_PER_TURN):
            batch = position.read(self.consumer.max_records)
            if batch is None:
                return
            if batch.lost_events or batch.lost_cycles:
                self._quiet.say(
                    logging.WARNING,
                    "lost",
                    f"Consumer {self.consumer.name} was too slow: {batch.lost_events} events and "
                    f"{batch.lost_cycles} cycles were overwritten before it read them",
                )
            try:
                done = self._give(batch) or self._give(batch)
            except NotYet:
                position.go_back()
                return
            if not done:
                self.failures += 1
                self._quiet.say(
                    logging.ERROR,
                    "given up",
                    f"Consumer {self.consumer.name} gave up a batch of {len(batch)} records, "
                    "counted as lost",
                )
            position.store_user(self.consumer.cursor_user)
            position.store(batch, given_up=not done)

    def _give(self, batch: Batch) -> bool:
        try:
            self.consumer.on_batch(batch)
        except NotYet:
            raise
        except Exception as error:  # noqa: BLE001 - see turn
            self._complain("on_batch", error)
            return False
        return True

    def _call(self, what: str, function: Callable[..., None], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - see turn
            self._complain(what, error)

    def _complain(self, what: str, error: Exception) -> None:
        self._quiet.say(
            logging.ERROR, what, f"Consumer {self.consumer.name} failed in {what}: {error}", error
        )
