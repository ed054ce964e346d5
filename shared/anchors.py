"""Wall-clock time of a moment on CLOCK_MONOTONIC, as the wall clock was then.

The segment keeps a history of (monotonic, realtime) pairs; a new one is added when the wall clock
was stepped. Convert the first start of a run and add monotonic differences for the rest of its
spans, so that a step never puts a child outside its parent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.core import lib
from shared.enums import RegionId
from shared.layout import ANCHOR_DTYPE
from shared.segment import Segment

Times = npt.NDArray[np.uint64]


class Anchors:
    """The clock anchors of one generation; safe to use from several threads."""

    def __init__(self, segment: Segment) -> None:
        self._raw = segment.raw
        self._clock = segment.struct(RegionId.CLOCK)
        view = segment.view(RegionId.CLOCK)
        self._ring = np.frombuffer(view, dtype=ANCHOR_DTYPE, count=lib.MXRC_ANCHORS, offset=64)
        self._seen = -1
        self._table: tuple[Times, Times] = (np.zeros(1, np.uint64), np.zeros(1, np.uint64))

    def realtime_ns(self, monotonic_ns: int) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z of a moment of CLOCK_MONOTONIC in ns."""
        return int(lib.mxrc_clock_to_realtime(self._raw, monotonic_ns))

    def realtime_array(self, monotonic_ns: Times) -> Times:
        """The same for an array, any shape, uint64."""
        starts, offsets = self._offsets()
        index = np.searchsorted(starts, monotonic_ns, side="right") - 1
        converted: Times = monotonic_ns + offsets[np.maximum(index, 0)]  # modulo 2^64, as in C
        return converted

    def _offsets(self) -> tuple[Times, Times]:
        """Monotonic start of each anchor, ascending, and realtime - monotonic modulo 2^64."""
        count = int(self._clock.count)
        if not count:
            return self._now()
        if count == self._seen:
            return self._table
        while True:
            anchors = self._ring.copy()
            after = int(self._clock.count)
            if after == count:
                break
            count = after  # one was added meanwhile: it may have been copied half written
        # As in C: a slot that the next anchor may just be written into is not looked at.
        kept = min(count, len(anchors) - 2)
        order = np.arange(count - kept, count) % len(anchors)
        starts = anchors["monotonic_ns"][order]
        self._table = (starts, anchors["realtime_ns"][order] - starts)
        self._seen = count
        return self._table

    @staticmethod
    def _now() -> tuple[Times, Times]:
        """No PRIMARY has written an anchor yet: the clocks as they are."""
        monotonic, realtime = int(lib.mxrc_now_ns()), int(lib.mxrc_realtime_ns())
        offset = (realtime - monotonic) % (1 << 64)
        return np.array([monotonic], np.uint64), np.array([offset], np.uint64)
