from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from nonrt_process.traces.cycle_spans import AROUND, CycleSelector, cycle_ids, encode_cycles
from shared.enums import CycleFlag, RtState
from shared.layout import Records
from tests.unit.nonrt_process.fakes import GENERATION, cycles


def rows(count: int, missed: set[int] = frozenset(), first: int = 0) -> Records:  # type: ignore[assignment]
    return cycles(
        [
            {"cycle": n, "flags": int(CycleFlag.DEADLINE_MISS) if n in missed else 0}
            for n in range(first, first + count)
        ],
        first,
    )


def around(missed: set[int], count: int) -> list[int]:
    return sorted({n for m in missed for n in range(m - AROUND, m + AROUND + 1) if 0 <= n < count})


@settings(deadline=None, max_examples=60)
@given(
    missed=st.sets(st.integers(0, 79), max_size=6),
    cuts=st.lists(st.integers(1, 79), max_size=12),
)
def test_missed_cycles_and_those_around_them_always(missed: set[int], cuts: list[int]) -> None:
    """However the ring was cut into batches, each once and in order."""
    whole = rows(80, missed)
    selector = CycleSelector(GENERATION)
    edges = [0, *sorted(set(cuts)), 80]
    found = [
        int(one)
        for begin, end in pairwise(edges)
        for one in selector.choose(whole[begin:end], 0.0)["cycle"]
    ]
    assert found == around(missed, 80)


def test_rates_follow_the_rule_of_the_sdk() -> None:
    whole = rows(4000)
    for rate in (0.0, 0.01, 0.5, 1.0):
        chosen = set(CycleSelector(GENERATION).choose(whole, rate)["cycle"].tolist())
        sampler = TraceIdRatioBased(rate)
        for n, ids in enumerate(cycle_ids(GENERATION, whole["cycle"])):
            trace_id = int.from_bytes(ids[:16].tobytes(), "big")
            decision = sampler.should_sample(None, trace_id, "x").decision
            assert (n in chosen) == decision.is_sampled()  # type: ignore[no-untyped-call]
        assert abs(len(chosen) - 4000 * rate) < 200


def test_ids_are_of_the_cycle_and_the_generation() -> None:
    numbers = np.arange(10_000, dtype=np.uint64)
    ids = {one.tobytes() for one in cycle_ids(1, numbers)}
    assert len(ids) == 10_000
    assert ids == {one.tobytes() for one in cycle_ids(1, numbers)}
    assert not ids & {one.tobytes() for one in cycle_ids(2, numbers)}


def attributes(span: Span) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in span.attributes
    }


def test_what_a_span_says() -> None:
    made = cycles(
        [
            {
                "cycle": 70_000,
                "slot": 3,
                "scheduled_ns": 1000,
                "wake_ns": 1500,
                "end_ns": 4500,
                "state": int(RtState.RUNNING),
                "flags": int(CycleFlag.DEADLINE_MISS),
                "skipped": 2,
                "trace_id": [7] * 16,
                "span_id": [8] * 8,
                "trace_flags": 1,
            },
            {"cycle": 70_001, "scheduled_ns": 2000, "wake_ns": 1900, "end_ns": 2100},
        ]
    )
    encoded = encode_cycles(made, GENERATION, made["wake_ns"] + np.uint64(10**18))
    missed, plain = (ScopeSpans.FromString(data).spans[0] for data in encoded.spans)
    assert missed.name == "rt.cycle"
    assert missed.start_time_unix_nano == 10**18 + 1500
    assert missed.end_time_unix_nano - missed.start_time_unix_nano == 3000
    assert attributes(missed) == {
        "rt.cycle": 70_000,
        "rt.slot": 3,
        "rt.deadline_missed": True,
        "rt.jitter_ns": 500,
        "rt.skipped": 2,
        "rt.state": "RUNNING",
        "error.type": "deadline_missed",
    }
    assert missed.status.code == 2
    (link,) = missed.links
    assert (link.trace_id, link.span_id, link.flags) == (bytes([7] * 16), bytes([8] * 8), 1)
    assert not plain.links
    assert not plain.status.code
    assert attributes(plain)["rt.deadline_missed"] is False
    assert attributes(plain)["rt.jitter_ns"] == -100
    assert [label.error for label in encoded.labels] == ["deadline missed", ""]
