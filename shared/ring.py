"""Reading a ring of the segment in numpy batches.

One writer, many readers, the oldest is overwritten. A reader only loads: it never disturbs the
writer and works on a dead segment too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.core import MxrcError, ffi, lib, system_error
from shared.layout import Records, ring_dtype
from shared.segment import Segment


class Read(NamedTuple):
    """What a read gave: copies of the records, shape (n,), and how many were lost before them."""

    records: Records
    lost: int


class RingReader:
    """A cursor on a ring. For one thread at a time; keeps the segment mapped.

    cursor: number of the next record to read (records are numbered from 0 in a generation).
    lost: records that were overwritten before this reader could read them, since it was made.
    """

    def __init__(self, segment: Segment, region: int, cursor: int = 0) -> None:
        self._raw = segment.raw
        self._ring = ffi.new("struct mxrc_ring *")
        result = lib.mxrc_ring_open(self._ring, self._raw, int(region))
        if result:
            raise MxrcError(
                f"{segment.name}: region {int(region)} is no ring: {system_error(result)}"
            )
        self._cursor = ffi.new("uint64_t *", cursor)
        self._lost = ffi.new("uint64_t *")
        self.dtype = ring_dtype(region)
        self.region = int(region)
        self._nothing = Read(np.empty(0, dtype=self.dtype), 0)

    @property
    def cursor(self) -> int:
        return int(self._cursor[0])

    @cursor.setter
    def cursor(self, number: int) -> None:
        self._cursor[0] = number

    @property
    def lost(self) -> int:
        return int(self._lost[0])

    @property
    def head(self) -> int:
        """Records ever published: the number of the next one."""
        return int(self._ring.header.head)

    @property
    def capacity(self) -> int:
        """Slots of the ring."""
        return int(self._ring.header.capacity)

    @property
    def tombstones(self) -> int:
        """Records given up because their writer died in them."""
        return int(self._ring.header.tombstones)

    def read(self, max_records: int = 4096) -> Read:
        """Up to `max_records` records from the cursor on; the cursor moves behind them."""
        waiting = min(max_records, self.head - self.cursor, self.capacity)
        if waiting <= 0:
            return self._nothing
        out = np.empty(waiting, dtype=self.dtype)
        before = self.lost
        count = int(
            lib.mxrc_ring_read(
                self._ring,
                self._cursor,
                ffi.from_buffer("uint8_t[]", out, require_writable=True),
                len(out),
                self._lost,
            )
        )
        return Read(out[:count], self.lost - before)

    def read_one(self, number: int) -> Records | None:
        """Record `number`, shape (1,); None when it is overwritten or not written yet."""
        out = np.empty(1, dtype=self.dtype)
        target = ffi.from_buffer("uint8_t[]", out, require_writable=True)
        return out if lib.mxrc_ring_read_one(self._ring, number, target) else None

    def latest(self, count: int) -> Read:
        """The last `count` records, or what there is; the cursor moves behind them."""
        self.cursor = max(self.cursor, self.head - min(count, self.capacity - self.capacity // 16))
        return self.read(count)
