"""metrics.def in Python: what the RT thread counts, its histograms as Prometheus buckets.

Needs no numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Final

from shared.core import ffi, lib, to_text

_COUNTER: Final = 1
BUCKETS: Final = int(lib.MXRC_HISTOGRAM_BUCKETS)


@dataclass(frozen=True, slots=True)
class CounterDef:
    """index: into rt_metrics.counter. label: value of the metric's own label, "": it has none."""

    index: int
    name: str
    label: str
    help: str


@dataclass(frozen=True, slots=True)
class HistogramDef:
    """A histogram of the RT thread.

    index: into rt_metrics.histogram. edges: upper bounds in the exported unit = stored ns * scale.
    bucket_ends: for each edge, how many of the stored buckets lie at or below it.
    """

    index: int
    name: str
    help: str
    scale: float
    edges: tuple[float, ...]
    bucket_ends: tuple[int, ...]

    def cumulative(self, buckets: Sequence[int]) -> list[int]:
        """Count of values <= each edge, from the stored buckets, shape (BUCKETS,); without +Inf."""
        sums = [0, *accumulate(int(count) for count in buckets)]
        return [sums[end] for end in self.bucket_ends]


def histogram_def(
    index: int, name: str, help_text: str, scale: float, edges: tuple[float, ...]
) -> HistogramDef:
    """Edges must be edges of the stored buckets: two significant digits in ns."""
    ends = tuple(int(lib.mxrc_histogram_index(round(edge / scale))) + 1 for edge in edges)
    return HistogramDef(index, name, help_text, scale, edges, ends)


@cache
def _rows() -> tuple[tuple[CounterDef, ...], tuple[HistogramDef, ...]]:
    count = ffi.new("size_t *")
    defs = lib.mxrc_metric_defs(count)
    counters, histograms = [], []
    for position in range(count[0]):
        row = defs[position]
        name, _, label = to_text(row.name).partition(":")
        if row.kind == _COUNTER:
            counters.append(CounterDef(int(row.index), name, label, to_text(row.help)))
            continue
        scale = float(row.scale)
        edges = tuple(float(edge) for edge in to_text(row.edges).split(","))
        histograms.append(histogram_def(int(row.index), name, to_text(row.help), scale, edges))
    return tuple(counters), tuple(histograms)


def counters() -> tuple[CounterDef, ...]:
    """All counters."""
    return _rows()[0]


@cache
def counter_index(name: str, label: str = "") -> int:
    """Index into rt_metrics.counter.

    Raises:
        KeyError: there is no such counter.
    """
    for row in counters():
        if (row.name, row.label) == (name, label):
            return row.index
    raise KeyError(name)


def histograms() -> tuple[HistogramDef, ...]:
    """All histograms."""
    return _rows()[1]


def bucket_upper_ns(index: int) -> int:
    """Inclusive upper bound in ns of a stored bucket."""
    return int(lib.mxrc_histogram_upper(index))


def quantile_ns(buckets: Sequence[int], share: float) -> int:
    """Upper bound in ns of the bucket that holds the `share` (0..1) quantile; 0 without values."""
    total = sum(int(count) for count in buckets)
    if not total:
        return 0
    wanted = share * total
    for index, below in enumerate(accumulate(int(count) for count in buckets)):
        if below >= wanted and below:
            return bucket_upper_ns(index)
    return bucket_upper_ns(len(buckets) - 1)
