"""Rings: headers, the sequence word of every slot, and whether records are plausible.

Slots have no checksum: of damage inside a record only what makes it impossible can be seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.core import lib
from shared.enums import (
    CycleFlag,
    EventKind,
    Level,
    RegionId,
    Result,
    RtState,
    SpanOperation,
    SpanStatus,
    TaskStatus,
)
from shared.events import event_table
from shared.inspector.checks.finding import BAD, GOOD, NOTE, Finding
from shared.inspector.rows import numbers
from shared.layout import Records, dtype_of, ring_dtype
from shared.ring import RingReader
from shared.segment import Segment

_LOOKS: Final = 4
_PAUSE_S: Final = 0.002
_SHOWN: Final = 8
_FLAGS: Final = int(sum(CycleFlag))
_HEADER: Final = dtype_of("struct mxrc_ring_header")
_AXES: Final = ("setpoint", "position", "velocity", "effort")

Test = tuple[str, npt.NDArray[np.bool_]]


def check_rings(segment: Segment, alive: bool) -> Iterator[Finding]:
    """Findings on the cycle ring, the lanes and the command queue."""
    yield from _ring(segment, RegionId.CYCLE_RING, "cycle_ring", alive, _cycle_tests)
    for lane in segment.lanes():
        region = RegionId.LANE + lane
        yield from _ring(segment, region, segment.description(region).name, alive, _event_tests)
    yield from _ring(segment, RegionId.COMMANDS, "commands", alive, _command_tests)
    yield _queue(segment)


def _ring(
    segment: Segment,
    region: int,
    name: str,
    alive: bool,
    tests: Callable[[Segment, Records], Iterator[Test]],
) -> Iterator[Finding]:
    row = segment.description(region)
    view = segment.view(region)
    header = np.frombuffer(view, _HEADER, 1)[0]
    capacity, slot_bytes = int(header["capacity"]), int(header["slot_bytes"])
    if (capacity, slot_bytes) != (row.element_count, row.element_bytes):
        yield Finding(
            f"{name} header",
            "capacity",
            BAD,
            f"{capacity} slots of {slot_bytes} bytes, the region table says "
            f"{row.element_count} of {row.element_bytes}",
        )
        return
    slots = np.frombuffer(view, ring_dtype(region), capacity, _HEADER.itemsize)
    wrong, unfinished = _sequence_words(header, slots, capacity)
    for slot, text in wrong[:_SHOWN]:
        yield Finding(f"{name} slot {slot}", "sequence word", BAD, text)
    if len(wrong) > _SHOWN:
        more = len(wrong) - _SHOWN
        yield Finding(name, "sequence words", BAD, f"{more} more slots are wrong")
    if not wrong:
        yield Finding(name, "sequence words", GOOD, f"{capacity} slots, head {int(header['head'])}")
    if unfinished is not None and not alive:
        text = f"its writer died in record {unfinished}; a successor makes it a tombstone"
        yield Finding(f"{name} slot {unfinished % capacity}", "unfinished record", NOTE, text)
    yield from _contents(segment, region, name, tests, {slot for slot, _ in wrong})


def _sequence_words(
    header: Any, slots: Records, capacity: int
) -> tuple[list[tuple[int, str]], int | None]:
    """Slots whose word no writer could have left, and the number of a record not finished.

    The writer may be at work: what looks wrong is looked at again, with the head of then.
    """
    suspects: npt.NDArray[np.int64] = np.arange(capacity)
    unfinished: int | None = None
    expected: list[str] = []
    words = np.zeros(0, np.uint64)
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_S)
        before = int(header["head"])
        words = slots["seq"][suspects].copy()
        after = int(header["head"])
        # Of the records [before - capacity, after] each slot may hold the one that belongs to it.
        record = (words.astype(np.int64) - 1) >> 1
        even = (words & np.uint64(1)) == 0
        belongs = record % capacity == suspects
        whole = even & belongs & (record >= before - capacity) & (record <= after)
        begun = ~even & belongs & (record >= before) & (record <= after)
        never = (words == 0) & (suspects >= before)
        if begun.any():
            unfinished = int(record[begun][0])
        good = whole | begun | never
        words, suspects = words[~good], suspects[~good]
        expected = [str(_newest(int(slot), after, capacity)) for slot in suspects]
        if not len(suspects):
            break
    return [
        (int(slot), f"word {int(word)} (0x{int(word):x}), expected {wanted}")
        for slot, word, wanted in zip(suspects, words, expected, strict=True)
    ], unfinished


def _newest(slot: int, head: int, capacity: int) -> int:
    """The word that a slot has when it holds the newest record that belongs to it."""
    if slot >= head:
        return 0
    return 2 * (slot + (head - 1 - slot) // capacity * capacity) + 2


def _contents(
    segment: Segment,
    region: int,
    name: str,
    tests: Callable[[Segment, Records], Iterator[Test]],
    skip: set[int],
) -> Iterator[Finding]:
    reader = RingReader(segment, region)
    if reader.head > (2**62):
        return
    reader.cursor = max(0, reader.head - reader.capacity + 1)
    parts = []
    end = reader.head
    while reader.cursor < end:
        records, _ = reader.read(4096)
        if not len(records):
            break
        parts.append(records)
    if not parts:
        return
    records = np.concatenate(parts)
    slots = numbers(records) % np.uint64(reader.capacity)
    found = 0
    for what, right in tests(segment, records):
        for at in np.flatnonzero(~right):
            if int(slots[at]) in skip:
                continue
            found += 1
            if found <= _SHOWN:
                number = int(numbers(records)[at])
                yield Finding(
                    f"{name} slot {int(slots[at])}", "record", BAD, f"record {number}: {what}"
                )
    if found > _SHOWN:
        yield Finding(name, "records", BAD, f"{found - _SHOWN} more problems in records")
    if not found:
        yield Finding(name, "records", GOOD, f"{len(records)} plausible")


def _known(values: npt.NDArray[Any], highest: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = values <= highest
    return found


def _names_known(segment: Segment, ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    known = {0}
    bit = int(lib.MXRC_NAME_RT_BIT)
    for region, base in ((RegionId.NAMES_RT, bit), (RegionId.NAMES_NONRT, 0)):
        count = int(segment.pointer(region, "struct mxrc_names *").count)
        known.update(range(base + 1, base + min(count, 1 << 20) + 1))
    return np.isin(ids, np.fromiter(known, np.uint32))


def _like_a_neighbour(values: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    same = values[1:] == values[:-1]
    found = np.zeros(len(values), bool)
    found[1:] |= same
    found[:-1] |= same
    return found


def _cycle_tests(segment: Segment, records: Records) -> Iterator[Test]:
    dead = (records["flags"] & int(CycleFlag.TOMBSTONE)) != 0
    status, lease = segment.rt_status, segment.lease
    period, origin = int(lease.period_ns), int(lease.grid_origin_ns)
    scheduled = records["scheduled_ns"].astype(np.int64)
    # Policy `rebase` moves the grid: then records before it share another offset.
    offset = scheduled - origin - records["cycle"].astype(np.int64) * period
    grid = (offset == 0) | _like_a_neighbour(offset)
    finite = np.ones(len(records), bool)
    for name in _AXES:
        finite &= np.isfinite(records[name]).all(axis=1)
    committed = records["commit_ns"] != 0
    order = np.ones(len(records), bool)
    order[1:] = records["cycle"][1:] > records["cycle"][:-1]
    order[1:] |= dead[1:] | dead[:-1]
    for what, right in (
        ("unknown flags", (records["flags"] & ~np.uint16(_FLAGS)) == 0),
        ("scheduled off the time grid", grid),
        ("woke before it was scheduled", records["wake_ns"] >= records["scheduled_ns"]),
        ("ended before it woke", records["end_ns"] >= records["wake_ns"]),
        (
            "committed outside of its run",
            ~committed
            | (
                (records["commit_ns"] >= records["wake_ns"])
                & (records["commit_ns"] <= records["end_ns"])
            ),
        ),
        ("unknown RT state", _known(records["state"], max(RtState))),
        (
            "epoch that never was",
            (records["epoch"] >= 1) & _known(records["epoch"], segment.epoch()),
        ),
        ("slot beyond the major frame", records["slot"] < max(1, int(status.slots))),
        ("another number of axes", records["axes"] == int(segment.header.axis_count)),
        ("a value of an axis is not finite", finite),
        ("unknown task", _names_known(segment, records["task_name"])),
        ("unknown action", _names_known(segment, records["action_name"])),
        ("more tasks than there can be", _known(records["active_tasks"], int(lib.MXRC_TASKS))),
        ("its cycle is not after the one before", order),
    ):
        yield what, right | dead


def _event_tests(segment: Segment, records: Records) -> Iterator[Test]:
    dead = records["kind"] == int(EventKind.TOMBSTONE)
    messages = np.fromiter([0, *event_table()], np.uint32)
    spans = records["kind"] == int(EventKind.SPAN)
    highest = {
        int(EventKind.SPAN): max(SpanOperation),
        int(EventKind.TASK): max(TaskStatus),
        int(EventKind.REPLY): max(Result),
    }
    codes = np.ones(len(records), bool)
    for kind, top in highest.items():
        codes &= (records["kind"] != kind) | _known(records["code"], top)
    for what, right in (
        ("unknown kind", _known(records["kind"], max(EventKind))),
        ("unknown level", _known(records["level"], max(Level))),
        ("unknown message", np.isin(records["message_id"], messages)),
        ("unknown RT state", _known(records["state"], max(RtState))),
        ("epoch that never was", _known(records["epoch"], segment.epoch())),
        ("unknown task", _names_known(segment, records["task_name"])),
        ("unknown sequence", _names_known(segment, records["sequence_name"])),
        ("unknown action", _names_known(segment, records["action_name"])),
        ("unknown code", codes),
        ("unknown span status", _known(records["span_status"], max(SpanStatus))),
        ("unknown error", _known(records["error_code"], max(Result))),
        ("a span that ends before it starts", ~spans | (records["time_ns"] >= records["start_ns"])),
        ("a span without an id", ~spans | records["span_id"].any(axis=1)),
    ):
        yield what, right | dead


def _command_tests(segment: Segment, records: Records) -> Iterator[Test]:
    slots = segment.description(RegionId.STAGING).element_count
    yield "unknown kind", _known(records["kind"], int(lib.MXRC_COMMAND_NOOP))
    yield "staging slot that is not there", records["program"] < max(1, slots)


def _queue(segment: Segment) -> Finding:
    reader = RingReader(segment, RegionId.COMMANDS)
    # The tail first: the head of later can only be further.
    tail = int(segment.rt_status.command_tail)
    waiting = reader.head - tail
    if 0 <= waiting <= reader.capacity:
        return Finding("commands", "queue", GOOD, f"{waiting} of {reader.capacity} waiting")
    return Finding(
        "rt_status.command_tail", "queue", BAD, f"{tail}, the queue's head is {reader.head}"
    )
