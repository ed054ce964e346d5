from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shared.core import MxrcError, ffi, lib
from shared.enums import RegionId
from shared.ring import RingReader
from shared.segment import Segment


class Writer:
    """Writes cycle records whose `cycle` is ten times their number."""

    def __init__(self, segment: Segment) -> None:
        self.ring: Any = ffi.new("struct mxrc_ring *")
        assert lib.mxrc_ring_open(self.ring, segment.raw, int(RegionId.CYCLE_RING)) == 0
        self.record: Any = ffi.new("struct mxrc_cycle_record *")
        self.count = 0

    def write(self, count: int) -> None:
        for _ in range(count):
            self.record.cycle = self.count * 10
            assert lib.mxrc_ring_publish(self.ring, self.record) == self.count
            self.count += 1


def test_reads_in_order_and_goes_on(rt: Segment, reader: Segment) -> None:
    writer, ring = Writer(rt), RingReader(reader, RegionId.CYCLE_RING)
    assert len(ring.read().records) == 0
    writer.write(10)
    first, second = ring.read(6), ring.read(6)
    assert first.records["cycle"].tolist() == [0, 10, 20, 30, 40, 50]
    assert second.records["cycle"].tolist() == [60, 70, 80, 90]
    assert (first.lost, second.lost, ring.cursor, ring.head) == (0, 0, 10, 10)
    assert (second.records["seq"] // 2 - 1).tolist() == [6, 7, 8, 9]


def test_a_lapped_reader_says_exactly_what_it_lost(rt: Segment, reader: Segment) -> None:
    writer, ring = Writer(rt), RingReader(reader, RegionId.CYCLE_RING)
    assert ring.capacity == 256
    writer.write(1000)
    read = ring.read(5000)
    assert read.lost == ring.lost == 1000 - 256 + 256 // 16
    numbers = read.records["seq"] // 2 - 1
    assert numbers.tolist() == list(range(read.lost, 1000))
    assert ring.read().lost == 0


def test_records_are_copies(rt: Segment, reader: Segment) -> None:
    writer, ring = Writer(rt), RingReader(reader, RegionId.CYCLE_RING)
    writer.write(3)
    records = ring.read().records
    writer.write(1000)
    assert records["cycle"].tolist() == [0, 10, 20]


def test_one_record_by_number(rt: Segment, reader: Segment) -> None:
    writer, ring = Writer(rt), RingReader(reader, RegionId.CYCLE_RING)
    writer.write(300)
    found = ring.read_one(299)
    assert found is not None
    assert found["cycle"][0] == 2990
    assert ring.read_one(3) is None
    assert ring.read_one(300) is None


def test_latest(rt: Segment, reader: Segment) -> None:
    writer = Writer(rt)
    writer.write(7)
    assert RingReader(reader, RegionId.CYCLE_RING).latest(3).records["cycle"].tolist() == [
        40,
        50,
        60,
    ]
    assert len(RingReader(reader, RegionId.CYCLE_RING).latest(100).records) == 7
    writer.write(500)
    read = RingReader(reader, RegionId.CYCLE_RING).latest(10_000)
    assert read.lost == 0
    assert read.records["cycle"][-1] == 5060
    assert np.all(np.diff(read.records["cycle"].astype(np.int64)) == 10)


def test_a_region_that_is_no_ring_is_refused(reader: Segment) -> None:
    with pytest.raises(MxrcError, match="no ring"):
        RingReader(reader, RegionId.LEASE)


def test_a_reader_keeps_the_segment_mapped(rt: Segment, instance: str) -> None:
    writer = Writer(rt)
    segment = Segment.attach(instance)
    ring = RingReader(segment, RegionId.CYCLE_RING)
    segment.detach()
    del segment
    writer.write(2)
    assert len(ring.read().records) == 2
