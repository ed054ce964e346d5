"""The mix of levels is what was asked for, whatever story is told."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logsim.levels import BLOCK, LevelMix, shares
from logsim.stories.stream import Stream

RECORDS = 100_000


@pytest.mark.parametrize(("error_rate", "incidents"), [(0.3, False), (0.3, True), (0.05, True)])
def test_levels_within_one_percent_of_what_was_asked(error_rate: float, incidents: bool) -> None:
    stream = Stream(Random(1), error_rate=error_rate, incidents=incidents)
    seen = Counter(stream.next(1000 * i).level for i in range(RECORDS))
    for level, share in shares(error_rate).items():
        assert abs(seen[level] - share * RECORDS) <= 0.01 * RECORDS, (level, seen)


@pytest.mark.parametrize("error_rate", [0.0, 0.013, 0.3, 0.5, 0.999, 1.0])
def test_without_incidents_whole_blocks_are_exact(error_rate: float) -> None:
    mix = LevelMix(error_rate, Random(2))
    seen = Counter(mix.next() for _ in range(RECORDS))
    for level, share in shares(error_rate).items():
        assert abs(seen[level] - share * RECORDS) <= 2, (level, seen)


def test_what_is_no_error_splits_fifteen_to_fifty_five() -> None:
    assert shares(0.3) == pytest.approx({"ERROR": 0.3, "WARN": 0.15, "INFO": 0.55})
    assert shares(0.0) == pytest.approx({"ERROR": 0.0, "WARN": 15 / 70, "INFO": 55 / 70})


def test_levels_come_in_random_order_within_a_block() -> None:
    mix = LevelMix(0.5, Random(3))
    first = [mix.next() for _ in range(BLOCK)]
    second = [mix.next() for _ in range(BLOCK)]
    assert first != second
    assert first != sorted(first)
    assert first != sorted(first, reverse=True)


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.05, 0.9),
    st.integers(0, 2**32),
    st.lists(st.sampled_from(["ERROR", "WARN", "INFO"]), max_size=300),
)
def test_levels_taken_out_of_turn_are_made_good(
    error_rate: float, seed: int, taken: list[str]
) -> None:
    """Taken levels and the rest together are the deck's totals once no debt is left."""
    mix = LevelMix(error_rate, Random(seed))
    seen: Counter[str] = Counter()
    for level in taken:
        mix.take(level)  # type: ignore[arg-type]
        seen[level] += 1
    while mix.debt or sum(seen.values()) % BLOCK:
        seen[mix.next()] += 1
    total = sum(seen.values())
    for level, share in shares(error_rate).items():
        assert abs(seen[level] - share * total) <= 2
