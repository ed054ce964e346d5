"""The same seed gives the same bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.logsim.produce import produce


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(-(2**63), 2**63),
    format_name=st.sampled_from(["text", "json", "ecs"]),
    error_rate=st.floats(0.01, 1.0),
    incident=st.booleans(),
    traceparent=st.booleans(),
)
def test_same_seed_same_bytes(seed: int, **options: Any) -> None:
    options["format"] = options.pop("format_name")
    assert produce(150, seed=seed, **options) == produce(150, seed=seed, **options)


def test_another_seed_is_another_story() -> None:
    assert produce(50, seed=1) != produce(50, seed=2)


def test_without_a_seed_no_two_runs_are_alike() -> None:
    assert produce(50, seed=None) != produce(50, seed=None)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    assert produce(300)[0][:100] == produce(100)[0]


def test_simulated_time_starts_where_it_was_told_and_never_goes_back() -> None:
    texts, _ = produce(500)
    stamps = [text[text.index("]") + 2 :][:23] for text in texts]
    assert stamps[0] == "2026-01-01 00:00:00.000"
    assert stamps == sorted(stamps)
    assert stamps[-1] > stamps[0]
