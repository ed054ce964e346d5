"""Rolling figures of operations: how often, how long, how often failed, over the last minute."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

SLICES: Final = 6
SLICE_NS: Final = 10_000_000_000
MAX_OPERATIONS: Final = 256
OTHER: Final = "other"
_BUCKETS: Final = 128
_PER_OCTAVE: Final = 4
_FIRST_NS: Final = 1000.0


class Figures(NamedTuple):
    """Of spans that ended in the window. beyond_s: mean time beyond what was planned.

    p95_s: upper edge of a bucket, at most 19 % above the true value.
    """

    spans: int
    mean_s: float
    beyond_s: float
    p95_s: float
    error_ratio: float


class _Slice:
    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.errors = 0
        self.sum_ns = 0.0
        self.beyond_ns = 0.0
        self.buckets = np.zeros(_BUCKETS, np.int64)


class Operations:
    """For one thread; figures are read from others. Beyond MAX_OPERATIONS all go into "other"."""

    def __init__(self) -> None:
        self._slices: dict[str, list[_Slice]] = {}

    def observe(
        self,
        now_ns: int,
        operation: str,
        lasted_ns: npt.NDArray[np.float64],
        beyond_ns: npt.NDArray[np.float64],
        errors: int,
    ) -> None:
        """Add spans of one operation. lasted_ns, beyond_ns: (n,) >= 0."""
        slices = self._slices.get(operation)
        if slices is None:
            if len(self._slices) >= MAX_OPERATIONS and operation != OTHER:
                self.observe(now_ns, OTHER, lasted_ns, beyond_ns, errors)
                return
            slices = self._slices[operation] = []
        number = now_ns // SLICE_NS
        if not slices or slices[-1].number != number:
            # A new list: a reader goes on with the old one.
            kept = [one for one in slices if one.number > number - SLICES]
            slices = self._slices[operation] = [*kept, _Slice(number)]
        into = slices[-1]
        into.count += len(lasted_ns)
        into.errors += errors
        into.sum_ns += float(lasted_ns.sum())
        into.beyond_ns += float(beyond_ns.sum())
        steps = np.ceil(np.log2(np.maximum(lasted_ns, _FIRST_NS) / _FIRST_NS) * _PER_OCTAVE)
        np.add.at(into.buckets, np.minimum(steps.astype(np.int64), _BUCKETS - 1), 1)

    def figures(self, now_ns: int) -> dict[str, Figures]:
        """Of every operation that ended in the window."""
        oldest = now_ns // SLICE_NS - SLICES + 1
        found = {}
        for operation, slices in list(self._slices.items()):
            live = [one for one in slices if one.number >= oldest]
            count = sum(one.count for one in live)
            if count:
                buckets = np.cumsum(np.sum([one.buckets for one in live], axis=0))
                at = int(np.searchsorted(buckets, 0.95 * count))
                found[operation] = Figures(
                    count,
                    sum(one.sum_ns for one in live) / count / 1e9,
                    sum(one.beyond_ns for one in live) / count / 1e9,
                    _FIRST_NS * 2.0 ** (at / _PER_OCTAVE) / 1e9,
                    sum(one.errors for one in live) / count,
                )
        return found

    def forget_idle(self, now_ns: int) -> None:
        """Give back the places of operations that have not ended in the window."""
        oldest = now_ns // SLICE_NS - SLICES + 1
        for operation, slices in list(self._slices.items()):
            if slices[-1].number < oldest:
                del self._slices[operation]
