"""Reading the rings of a segment: the newest records, those since a time, and what comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.enums import CycleFlag, EventKind, RegionId
from shared.layout import CYCLE_DTYPE, EVENT_DTYPE, Records
from shared.ring import RingReader
from shared.segment import Segment, process_alive

BATCH = 4096
MARGIN = 256
"""Oldest records that a reader of a whole ring leaves to a writer at work."""


@dataclass(frozen=True, slots=True)
class Cycles:
    """Cycle records, shape (n,), in order; lost: overwritten before they could be read."""

    records: Records
    lost: int


@dataclass(frozen=True, slots=True)
class Events:
    """Event records of all lanes, shape (n,), by time, and the lane of each."""

    records: Records
    lanes: npt.NDArray[np.uint8]
    lost: int


class CycleSource:
    """Reads the cycle ring from a place on; tombstones are left out."""

    def __init__(self, segment: Segment, last: int | None = None) -> None:
        """last: how many of the newest records to begin with; None: all there are."""
        self._reader = RingReader(segment, RegionId.CYCLE_RING)
        self._reader.cursor = _start(self._reader, last, _writer_lives(segment))

    def read(self) -> Cycles:
        """What there is from the cursor on."""
        parts, lost = _drain(self._reader)
        records = np.concatenate(parts) if parts else np.empty(0, CYCLE_DTYPE)
        whole = (records["flags"] & np.uint16(CycleFlag.TOMBSTONE)) == 0
        return Cycles(records[whole], lost)


class EventSource:
    """Reads all event lanes from a place on; tombstones are left out."""

    def __init__(self, segment: Segment, last: int | None = None) -> None:
        """last: how many of the newest records of each lane to begin with; None: all there are."""
        self._readers = {
            lane: RingReader(segment, RegionId.LANE + lane) for lane in segment.lanes()
        }
        lives = _writer_lives(segment)
        for reader in self._readers.values():
            reader.cursor = _start(reader, last, lives)

    def read(self) -> Events:
        """What there is from the cursors on."""
        parts: list[Records] = []
        lanes: list[npt.NDArray[np.uint8]] = []
        lost = 0
        for lane, reader in self._readers.items():
            found, missed = _drain(reader)
            lost += missed
            for records in found:
                parts.append(records)
                lanes.append(np.full(len(records), lane, np.uint8))
        if not parts:
            return Events(np.empty(0, EVENT_DTYPE), np.empty(0, np.uint8), lost)
        merged, of_lane = np.concatenate(parts), np.concatenate(lanes)
        order = np.argsort(merged["time_ns"], kind="stable")
        order = order[merged["kind"][order] != int(EventKind.TOMBSTONE)]
        return Events(merged[order], of_lane[order], lost)


def _writer_lives(segment: Segment) -> bool:
    return any(
        process_alive(int(member.pid), int(member.process_start))
        for member in map(segment.member_struct, range(segment.max_members))
    )


def _start(reader: RingReader, last: int | None, lives: bool) -> int:
    head, capacity = reader.head, reader.capacity
    if last is not None:
        return max(0, head - min(last, capacity))
    # A writer at work overwrites the oldest while they are copied: stay ahead of it. One that died
    # may have begun the slot after the newest.
    return max(0, head - capacity + (min(MARGIN, capacity // 16) if lives else 1))


def _drain(reader: RingReader) -> tuple[list[Records], int]:
    """Everything up to the head of now: a fast writer cannot keep a reader here."""
    parts: list[Records] = []
    lost = 0
    end = reader.head
    while reader.cursor < end:
        before = reader.cursor
        records, missed = reader.read(min(BATCH, end - reader.cursor))
        lost += missed
        if len(records):
            parts.append(records)
        if reader.cursor == before:
            break
    return parts, lost


def read_cycles(
    segment: Segment, last: int | None = None, since_ns: int = 0, *, warmup: bool = True
) -> Cycles:
    """The cycles in the ring.

    last: only the newest so many. since_ns: only those that woke at or after that time of
    CLOCK_MONOTONIC. warmup: with those that are not in the statistics.
    """
    found = CycleSource(segment, last).read()
    records = found.records[found.records["wake_ns"] >= np.uint64(since_ns)]
    if not warmup:
        records = records[(records["flags"] & np.uint16(CycleFlag.WARMUP)) == 0]
    return Cycles(records, found.lost)


def read_events(segment: Segment, last: int | None = None, since_ns: int = 0) -> Events:
    """The events in all lanes; last: only the newest so many of all."""
    found = EventSource(segment, last).read()
    wanted = np.flatnonzero(found.records["time_ns"] >= np.uint64(since_ns))
    if last is not None:
        wanted = wanted[max(0, len(wanted) - last) :]
    return Events(found.records[wanted], found.lanes[wanted], found.lost)
