"""Finished spans of RT, records of the event dtype, to OTLP Span messages: a template per shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from nonrt_process.traces import otlp
from nonrt_process.traces.template import (
    Bytes,
    Hole,
    Numbers,
    Part,
    Template,
    attribute,
    field,
    fixed64,
    groups,
    varint_widths,
    varints,
)
from shared.enums import Result, SpanOperation, SpanStatus, name_of
from shared.layout import Records

OPERATIONS: Final = {
    SpanOperation.TASK_EXECUTE: "task.execute",
    SpanOperation.SEQUENCE_RUN: "sequence.run",
    SpanOperation.ACTION_EXECUTE: "action.execute",
    SpanOperation.EVENTBUS_PUBLISH: "eventbus.publish",
    SpanOperation.RT_CYCLE: "rt.cycle",
    SpanOperation.EVENTBUS_PROCESS: "eventbus.process",
}
_KINDS: Final = {
    SpanOperation.EVENTBUS_PUBLISH: otlp.KIND_PRODUCER,
    SpanOperation.EVENTBUS_PROCESS: otlp.KIND_CONSUMER,
}
_PARENT_REMOTE: Final = (SpanOperation.TASK_EXECUTE, SpanOperation.EVENTBUS_PROCESS)
_MAX_SHAPES: Final = 4096
_VARINTS: Final = ("cycle", "slot", "execution_id", "step")


class Carried(NamedTuple):
    """What came with a request beside its ids: W3C tracestate, and baggage as attributes."""

    tracestate: str = ""
    baggage: Mapping[str, str] = {}


NOTHING_CARRIED: Final = Carried()


class Label(NamedTuple):
    """What the local store keeps beside the message. task empty: it is in the record."""

    name: str
    task: str
    error: str


class _Shape(NamedTuple):
    template: Template
    widths: tuple[int, ...]
    task_bytes: int
    label: Label


class Encoded(NamedTuple):
    """Spans in the order of their records. spans: each a field of ScopeSpans (tag and length)."""

    spans: list[bytes]
    labels: list[Label]


class RtEncoder:
    """For one generation: resolve turns its name ids into text, carried knows its executions."""

    def __init__(
        self,
        resolve: Callable[[int], str],
        carried: Callable[[int], Carried] = lambda _: NOTHING_CARRIED,
    ) -> None:
        self._resolve = resolve
        self._carried = carried
        self._shapes: dict[bytes, _Shape] = {}

    def encode(self, records: Records, starts_ns: Numbers) -> Encoded:
        """records: (n,) of kind MXRC_EVENT_SPAN; starts_ns: (n,) Unix ns of their start_ns."""
        count = len(records)
        spans, labels = [b""] * count, [Label("", "", "")] * count
        if not count:
            return Encoded(spans, labels)
        texts = np.ascontiguousarray(records["task_id"]).view(np.uint8).reshape(count, -1)
        numbers = {name: records[name].astype(np.uint64) for name in _VARINTS}
        widths = {name: varint_widths(values) for name, values in numbers.items()}
        extras = self._extras(records, texts)
        keys = _keys(records, texts, widths, extras)
        started, ended = records["start_ns"], records["time_ns"]
        lasted = np.where(ended > started, ended - started, 0).astype(np.uint64)
        columns = {
            "trace_id": records["trace_id"],
            "span_id": records["span_id"],
            "parent_span_id": records["parent_span_id"],
            "start": fixed64(starts_ns),
            # The duration is added to the start: a clock step in between changes neither the
            # duration nor who encloses whom.
            "end": fixed64(starts_ns + lasted),
            "task_id": texts,
        }
        for key, indices in groups(keys).items():
            shape = self._shapes.get(key)
            if shape is None:
                shape = self._make_shape(records[indices[0]], extras)
                if len(self._shapes) >= _MAX_SHAPES:
                    self._shapes.clear()
                if not keys[indices[0], 3] & np.uint64(0xFFFFFFFF):
                    self._shapes[key] = shape
            whole = len(indices) == count
            chosen = {name: c if whole else c[indices] for name, c in columns.items()}
            for name, width in zip(_VARINTS, shape.widths, strict=True):
                values = numbers[name]
                chosen[name] = varints(values if whole else values[indices], width)
            filled = shape.template.fill(chosen)
            if whole:
                return Encoded(filled, [shape.label] * count)
            for index, data in zip(indices.tolist(), filled, strict=True):
                spans[index] = data
                labels[index] = shape.label
        return Encoded(spans, labels)

    def _extras(self, records: Records, texts: Bytes) -> Numbers:
        """(n,) 0: nothing out of the common; else 1 + the execution's first record in the batch.

        Out of the common: a task id that is not ASCII (it may have been cut within a character) and
        what was carried with the request. Such executions have shapes of their own.
        """
        extras = np.zeros(len(records), np.uint64)
        odd = np.asarray((texts >= 0x80).any(axis=1))
        executions, first, inverse = np.unique(
            records["execution_id"], return_index=True, return_inverse=True
        )
        for at, execution in enumerate(executions.tolist()):
            if odd[first[at]] or self._carried(execution) != NOTHING_CARRIED:
                extras[inverse == at] = first[at] + 1
        extras[odd] = np.flatnonzero(odd) + 1
        return extras

    def _make_shape(self, record: np.void, extras: Numbers) -> _Shape:
        operation = int(record["code"])
        name = OPERATIONS.get(operation, f"operation-{operation}")  # type: ignore[call-overload]
        widths = tuple(len(otlp.varint(int(record[column]))) for column in _VARINTS)
        raw = bytes(record["task_id"])
        plain = raw.isascii()
        task = raw.decode("utf-8", "replace") if raw else self._resolve(int(record["task_name"]))
        carried = self._carried(int(record["execution_id"]))
        failed = record["span_status"] == SpanStatus.ERROR
        error = int(record["error_code"])
        reason = name_of(Result, error) if failed and error else ""
        flags = int(record["trace_flags"]) | otlp.FLAG_PARENT_KNOWN
        if operation in _PARENT_REMOTE:
            flags |= otlp.FLAG_PARENT_REMOTE

        parts: list[Part] = [b"\x0a\x10", Hole("trace_id", 16), b"\x12\x08", Hole("span_id", 8)]
        if carried.tracestate:
            parts += field(3, carried.tracestate.encode())
        if record["parent_span_id"].any():
            parts += [b"\x22\x08", Hole("parent_span_id", 8)]
        kind = _KINDS.get(operation, otlp.KIND_INTERNAL)  # type: ignore[call-overload]
        parts.append(otlp.name_and_kind(name, kind))
        parts += [b"\x39", Hole("start", 8), b"\x41", Hole("end", 8)]
        if raw and plain:
            parts += attribute("task.id", *field(1, Hole("task_id", len(raw))))
        else:
            parts.append(otlp.attribute("task.id", task))
        parts += attribute("rt.cycle", b"\x18", Hole("cycle", widths[0]))
        parts += attribute("rt.slot", b"\x18", Hole("slot", widths[1]))
        parts += attribute("mxrc.execution_id", b"\x18", Hole("execution_id", widths[2]))
        if record["sequence_name"]:
            parts.append(otlp.attribute("sequence.id", self._resolve(int(record["sequence_name"]))))
        if record["action_name"]:
            parts.append(otlp.attribute("action.id", self._resolve(int(record["action_name"]))))
            parts += attribute("mxrc.step", b"\x18", Hole("step", widths[3]))
        if operation in _KINDS:
            parts.append(otlp.attribute("eventbus.topic", self._resolve(int(record["args"][0]))))
        if reason:
            parts.append(otlp.attribute("error.type", reason))
        for key, value in carried.baggage.items():
            parts.append(otlp.attribute(f"baggage.{key}", value))
        parts.append(otlp.status_field(min(int(record["span_status"]), otlp.STATUS_ERROR), reason))
        parts.append(otlp.flags_field(flags))
        label = Label(name, "" if raw and plain else task, reason or ("error" if failed else ""))
        return _Shape(Template(field(2, *parts)), widths, len(raw), label)


def _keys(
    records: Records, texts: Bytes, widths: Mapping[str, Numbers], extras: Numbers
) -> Numbers:
    """(n, 4) everything that decides over a shape, bit by bit."""

    def column(name: str) -> Numbers:
        values: Numbers = records[name].astype(np.uint64)
        return values

    occupied = texts != 0
    last = texts.shape[1] - occupied[:, ::-1].argmax(axis=1)
    lengths = np.where(occupied.any(axis=1), last, 0).astype(np.uint64)
    status = column("span_status")
    packed = np.minimum(status, 3)
    for bits, values in (
        (8, column("trace_flags")),
        (1, records["parent_span_id"].any(axis=1).astype(np.uint64)),
        (7, lengths),
        *((4, widths[name]) for name in _VARINTS),
    ):
        packed = packed << np.uint64(bits) | values
    keys = np.empty((len(records), 4), np.uint64)
    half = np.uint64(32)
    keys[:, 0] = packed << np.uint64(24) | column("code") & np.uint64(0xFFFFFF)
    task_name = np.where(lengths == 0, column("task_name"), 0).astype(np.uint64)
    keys[:, 1] = task_name << half | column("sequence_name")
    error = np.where(status == SpanStatus.ERROR, column("error_code"), 0).astype(np.uint64)
    keys[:, 2] = column("action_name") << half | error
    of_the_bus = np.isin(records["code"], [int(operation) for operation in _KINDS])
    topic = np.where(of_the_bus, records["args"][:, 0], 0).astype(np.uint64)
    keys[:, 3] = topic << half | extras
    return keys
