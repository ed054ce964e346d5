"""The templates against opentelemetry-proto: what it reads is what the record says."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from nonrt_process.traces import otlp
from nonrt_process.traces.rt_encoder import OPERATIONS, Carried, RtEncoder
from shared.enums import Result, SpanStatus, name_of
from shared.layout import EVENT_DTYPE

NAMES = {0: "", 1: "main", 2: "öffnen", 3: "x" * 200, 4: "move"}
CARRIED = {7: Carried("vendor=1,other=2", {"robot": "a", "größe": "ü"})}
U64 = st.integers(0, (1 << 64) - 1)
U32 = st.integers(0, (1 << 32) - 1)
SMALL = st.sampled_from([0, 1, 127, 128, 16383, 16384, 1 << 28])

ROW = st.fixed_dictionaries(
    {
        "code": st.integers(1, 6),
        "cycle": SMALL | U64,
        "slot": SMALL | U32,
        "step": SMALL | U32,
        "execution_id": st.integers(5, 9) | U64,
        "trace_flags": st.integers(0, 255),
        "trace_id": st.binary(min_size=16, max_size=16),
        "span_id": st.binary(min_size=8, max_size=8),
        "parent_span_id": st.just(bytes(8)) | st.binary(min_size=8, max_size=8),
        "task_name": st.integers(0, 4),
        "sequence_name": st.integers(0, 4),
        "action_name": st.integers(0, 4),
        "task_id": st.sampled_from([b"", b"t", b"task_1", b"t" * 64, "ä".encode() * 32])
        | st.text(max_size=20).map(lambda text: text.encode()[:64])
        | st.binary(max_size=64),
        "start_ns": st.integers(0, 1 << 62),
        "time_ns": st.integers(0, 1 << 62),
        "span_status": st.integers(0, 2),
        "error_code": st.sampled_from([0, 1, 5, 999]),
        "args": st.sampled_from([[0.0] * 6, [1.0] * 6, [2.0, *[9.0] * 5]]),
    }
)


def records(rows: list[dict[str, Any]]) -> Any:
    made = np.zeros(len(rows), EVENT_DTYPE)
    for index, row in enumerate(rows):
        for name, value in row.items():
            is_id = name in ("trace_id", "span_id", "parent_span_id")
            made[index][name] = list(value) if is_id else value
    return made


def expected(record: Any, row: dict[str, Any], start: int) -> Span:
    """Said once more with the library's own messages, record by record."""
    carried = CARRIED.get(row["execution_id"], Carried())
    raw = bytes(record["task_id"])
    failed = row["span_status"] == SpanStatus.ERROR
    reason = name_of(Result, row["error_code"]) if failed and row["error_code"] else ""
    span = Span(
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_span_id=row["parent_span_id"] if any(row["parent_span_id"]) else b"",
        trace_state=carried.tracestate,
        name=OPERATIONS.get(row["code"], f"operation-{row['code']}"),
        kind={4: Span.SPAN_KIND_PRODUCER, 6: Span.SPAN_KIND_CONSUMER}.get(
            row["code"], Span.SPAN_KIND_INTERNAL
        ),
        start_time_unix_nano=start,
        end_time_unix_nano=start + max(0, row["time_ns"] - row["start_ns"]),
        flags=row["trace_flags"]
        | otlp.FLAG_PARENT_KNOWN
        | (otlp.FLAG_PARENT_REMOTE if row["code"] in (1, 6) else 0),
    )

    def add(key: str, value: str | int) -> None:
        pair = span.attributes.add(key=key)
        if isinstance(value, str):
            pair.value.string_value = value
        else:
            pair.value.int_value = value if value < 1 << 63 else value - (1 << 64)

    add("task.id", raw.decode("utf-8", "replace") if raw else NAMES[row["task_name"]])
    add("rt.cycle", row["cycle"])
    add("rt.slot", row["slot"])
    add("mxrc.execution_id", row["execution_id"])
    if row["sequence_name"]:
        add("sequence.id", NAMES[row["sequence_name"]])
    if row["action_name"]:
        add("action.id", NAMES[row["action_name"]])
        add("mxrc.step", row["step"])
    if row["code"] in (4, 6):
        add("eventbus.topic", NAMES[int(row["args"][0])])
    if reason:
        add("error.type", reason)
    for key, value in carried.baggage.items():
        add(f"baggage.{key}", value)
    if row["span_status"] or reason:
        span.status.code = row["span_status"]
        span.status.message = reason
    return span


ENCODER = RtEncoder(NAMES.__getitem__, lambda execution: CARRIED.get(execution, Carried()))
"""One for all examples, so that shapes of earlier ones are in its cache."""


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, max_size=12), st.integers(0, 1 << 62))
def test_protobuf_reads_what_the_records_say(rows: list[dict[str, Any]], epoch: int) -> None:
    made = records(rows)
    starts = made["start_ns"] + np.uint64(epoch)
    encoded = ENCODER.encode(made, starts)
    assert len(encoded.spans) == len(encoded.labels) == len(rows)
    for record, row, start, data, label in zip(
        made, rows, starts.tolist(), encoded.spans, encoded.labels, strict=True
    ):
        (found,) = ScopeSpans.FromString(data).spans
        wanted = expected(record, row, start)
        assert found == wanted
        assert label.name == wanted.name
        assert bool(label.error) == (row["span_status"] == SpanStatus.ERROR)


def test_batches_of_one_shape_and_of_many_keep_their_order() -> None:
    base = {"code": 3, "span_status": 1, "task_id": b"task", "trace_flags": 1}
    alike = [base | {"execution_id": n, "span_id": bytes([n] * 8)} for n in range(1, 100)]
    mixed = [row | {"action_name": n % 5, "cycle": 1 << (n % 60)} for n, row in enumerate(alike)]
    for rows in (alike, mixed):
        made = records(rows)
        spans = ENCODER.encode(made, made["start_ns"]).spans
        found = [ScopeSpans.FromString(data).spans[0].span_id[0] for data in spans]
        assert found == list(range(1, 100))


def test_nothing() -> None:
    assert ENCODER.encode(records([]), np.empty(0, np.uint64)).spans == []
