from __future__ import annotations

import pytest

from shared.core import ffi, lib
from shared.metrics_def import (
    BUCKETS,
    bucket_upper_ns,
    counter_index,
    counters,
    histograms,
    quantile_ns,
)


def test_names_and_indices_are_unique() -> None:
    keys = [(row.name, row.label) for row in counters()]
    assert len(set(keys)) == len(keys)
    assert len({row.index for row in counters()}) == len(keys)
    assert all(row.help for row in counters())
    assert all(row.help for row in histograms())
    assert {row.index for row in counters()} < set(range(lib.MXRC_COUNTERS))


def test_labels_are_told_from_names() -> None:
    assert ("mxrc_logging_events", "warn") in {(row.name, row.label) for row in counters()}
    assert counter_index("mxrc_rt_deadline_miss_count") == 1
    with pytest.raises(KeyError):
        counter_index("mxrc_rt_nothing")


def test_every_bound_is_an_edge_of_the_stored_buckets() -> None:
    for row in histograms():
        assert list(row.edges) == sorted(row.edges)
        for edge, end in zip(row.edges, row.bucket_ends, strict=True):
            assert bucket_upper_ns(end - 1) == round(edge / row.scale), (row.name, edge)


@pytest.mark.parametrize("row", histograms(), ids=lambda row: row.name)
def test_cumulative_counts_are_exact_at_the_bounds(row: object) -> None:
    from shared.metrics_def import HistogramDef

    assert isinstance(row, HistogramDef)
    stored = ffi.new("struct mxrc_histogram *")
    values = []
    for edge in row.edges:
        at = round(edge / row.scale)
        values += [at - 1, at, at + 1]
    for value in values:
        lib.mxrc_histogram_add(stored, value)
    buckets = [stored.bucket[index] for index in range(BUCKETS)]
    limits = [round(edge / row.scale) for edge in row.edges]
    # Two significant digits: just above a bound is another bucket, so the counts are exact there.
    assert row.cumulative(buckets) == [sum(value <= limit for value in values) for limit in limits]


def test_quantiles() -> None:
    stored = ffi.new("struct mxrc_histogram *")
    for value in range(1, 101):
        lib.mxrc_histogram_add(stored, value)
    buckets = [stored.bucket[index] for index in range(BUCKETS)]
    assert quantile_ns(buckets, 0.5) == 50
    assert quantile_ns(buckets, 0.99) == 99
    assert quantile_ns(buckets, 0.0) == 1
    assert quantile_ns([0] * BUCKETS, 0.5) == 0
