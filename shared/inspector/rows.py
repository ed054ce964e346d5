"""Ring records as typed rows for people and files: cycles, events, spans.

Columns are made in vector form for a whole batch; a row is one of each. Times are given twice:
`time` is the wall clock (UTC, RFC 3339, ns) by the segment's own clock history, `time_ns` is
CLOCK_MONOTONIC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.anchors import Anchors
from shared.enums import (
    CycleFlag,
    EventKind,
    Level,
    Result,
    RtState,
    SpanOperation,
    SpanStatus,
    TaskStatus,
    name_of,
)
from shared.events import event_table, format_event
from shared.layout import Records
from shared.names import Names
from shared.segment import Segment

US: Final = 1e3
LANE_FACTOR: Final = 16
"""event.sequence = number of the record in its lane * 16 + lane."""


@dataclass(frozen=True, slots=True)
class CycleRow:
    """A cycle. Arrays have an element per axis, in the axis's unit.

    jitter_us: wake-up minus scheduled. cycle_time_us: wake-up to end. commit_us: scheduled to
    outputs committed; null when nothing was committed. skipped: slots of the grid before it that
    were never run.
    """

    number: int
    time: str
    time_ns: int
    cycle: int
    slot: int
    state: str
    jitter_us: float
    cycle_time_us: float
    commit_us: float | None
    flags: str
    skipped: int
    epoch: int
    cpu: int
    active_tasks: int
    task: str
    action: str
    step: int
    execution_id: int
    trace_id: str
    span_id: str
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    setpoint: tuple[float, ...]
    position: tuple[float, ...]
    velocity: tuple[float, ...]
    effort: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of any kind. sequence: `event.sequence` of the log line. code: by kind."""

    sequence: int
    lane: int
    time: str
    time_ns: int
    cycle: int
    kind: str
    level: str
    logger: str
    event: str
    message: str
    code: str
    state: str
    epoch: int
    task_id: str
    task: str
    action: str
    step: int
    execution_id: int
    trace_id: str
    span_id: str
    suppressed: int
    tid: int


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A finished span of the RT process; time and time_ns are its start."""

    sequence: int
    time: str
    time_ns: int
    duration_ms: float
    operation: str
    task_id: str
    task: str
    sequence_name: str
    action: str
    step: int
    status: str
    error: str
    cycle: int
    execution_id: int
    trace_id: str
    span_id: str
    parent_span_id: str


Row = CycleRow | EventRow | SpanRow


def field_names(row: type[Any]) -> tuple[str, ...]:
    """Names of a row's fields, in order."""
    return tuple(field.name for field in fields(row))


class Reading:
    """What turns the records of one generation into rows."""

    def __init__(self, segment: Segment) -> None:
        self._names = Names(segment)
        self._anchors = Anchors(segment)
        self._axis_count = min(int(segment.header.axis_count), 8)

    def times(self, monotonic_ns: npt.NDArray[np.uint64]) -> list[str]:
        """Wall-clock times as RFC 3339 text."""
        return rfc3339(self._anchors.realtime_array(np.asarray(monotonic_ns, np.uint64)))

    def time(self, monotonic_ns: int) -> str:
        """The same for one."""
        return self.times(np.array([monotonic_ns], np.uint64))[0]

    def names(self, ids: npt.NDArray[Any]) -> list[str]:
        """Interned names."""
        return [self._names.resolve(one) for one in ids.tolist()]

    def cycles(self, records: Records) -> list[CycleRow]:
        """Rows of cycle records, shape (n,)."""
        columns = self.cycle_columns(records)
        return [CycleRow(*values) for values in zip(*columns.values(), strict=True)]

    def cycle_columns(self, records: Records) -> dict[str, Sequence[Any]]:
        """A column per field of CycleRow."""
        axes = self._axis_count
        commit = (records["commit_ns"] - records["scheduled_ns"]).astype(np.int64) / US
        return {
            "number": numbers(records).tolist(),
            "time": self.times(records["wake_ns"]),
            "time_ns": records["wake_ns"].tolist(),
            "cycle": records["cycle"].tolist(),
            "slot": records["slot"].tolist(),
            "state": _enumerated(RtState, records["state"]),
            "jitter_us": jitter_us(records).tolist(),
            "cycle_time_us": cycle_time_us(records).tolist(),
            "commit_us": [
                value if committed else None
                for value, committed in zip(
                    commit.tolist(), records["commit_ns"].tolist(), strict=True
                )
            ],
            "flags": [flag_text(value) for value in records["flags"].tolist()],
            "skipped": records["skipped"].tolist(),
            "epoch": records["epoch"].tolist(),
            "cpu": records["cpu"].tolist(),
            "active_tasks": records["active_tasks"].tolist(),
            "task": self.names(records["task_name"]),
            "action": self.names(records["action_name"]),
            "step": records["step"].tolist(),
            "execution_id": records["execution_id"].tolist(),
            "trace_id": hexadecimal(records["trace_id"]),
            "span_id": hexadecimal(records["span_id"]),
            "minor_faults": records["minor_faults"].tolist(),
            "major_faults": records["major_faults"].tolist(),
            "voluntary_switches": records["voluntary_switches"].tolist(),
            "involuntary_switches": records["involuntary_switches"].tolist(),
            **{
                name: [tuple(one) for one in records[name][:, :axes].astype(float).tolist()]
                for name in ("setpoint", "position", "velocity", "effort")
            },
        }

    def events(self, records: Records, lanes: npt.NDArray[Any]) -> list[EventRow]:
        """Rows of event records, shape (n,), with the lane of each."""
        columns = self.event_columns(records, lanes)
        return [EventRow(*values) for values in zip(*columns.values(), strict=True)]

    def event_columns(self, records: Records, lanes: npt.NDArray[Any]) -> dict[str, Sequence[Any]]:
        """A column per field of EventRow."""
        table = event_table()
        messages = records["message_id"].tolist()
        known = [table.get(message) for message in messages]
        return {
            "sequence": sequences(records, lanes).tolist(),
            "lane": lanes.tolist(),
            "time": self.times(records["time_ns"]),
            "time_ns": records["time_ns"].tolist(),
            "cycle": records["cycle"].tolist(),
            "kind": _enumerated(EventKind, records["kind"]),
            "level": [level.lower() for level in _enumerated(Level, records["level"])],
            "logger": [one.logger if one else "" for one in known],
            "event": [one.name if one else "" for one in known],
            "message": [
                format_event(message, args, self._names.resolve) if message else ""
                for message, args in zip(messages, records["args"].tolist(), strict=True)
            ],
            "code": [
                code_text(kind, code)
                for kind, code in zip(
                    records["kind"].tolist(), records["code"].tolist(), strict=True
                )
            ],
            "state": _enumerated(RtState, records["state"]),
            "epoch": records["epoch"].tolist(),
            "task_id": texts(records["task_id"]),
            "task": self.names(records["task_name"]),
            "action": self.names(records["action_name"]),
            "step": records["step"].tolist(),
            "execution_id": records["execution_id"].tolist(),
            "trace_id": hexadecimal(records["trace_id"]),
            "span_id": hexadecimal(records["span_id"]),
            "suppressed": records["suppressed"].tolist(),
            "tid": records["tid"].tolist(),
        }

    def spans(self, records: Records, lanes: npt.NDArray[Any]) -> list[SpanRow]:
        """Rows of the spans among event records, with the lane of each."""
        columns = self.span_columns(records, lanes)
        return [SpanRow(*values) for values in zip(*columns.values(), strict=True)]

    def span_columns(self, records: Records, lanes: npt.NDArray[Any]) -> dict[str, Sequence[Any]]:
        """A column per field of SpanRow; records that are no spans are left out."""
        wanted = records["kind"] == int(EventKind.SPAN)
        spans, lanes = records[wanted], lanes[wanted]
        duration = (spans["time_ns"] - spans["start_ns"]).astype(np.int64) / 1e6
        return {
            "sequence": sequences(spans, lanes).tolist(),
            "time": self.times(spans["start_ns"]),
            "time_ns": spans["start_ns"].tolist(),
            "duration_ms": duration.tolist(),
            "operation": [operation_name(code) for code in spans["code"].tolist()],
            "task_id": texts(spans["task_id"]),
            "task": self.names(spans["task_name"]),
            "sequence_name": self.names(spans["sequence_name"]),
            "action": self.names(spans["action_name"]),
            "step": spans["step"].tolist(),
            "status": _enumerated(SpanStatus, spans["span_status"]),
            "error": [
                name_of(Result, code).removeprefix("ERR_") if code else ""
                for code in spans["error_code"].tolist()
            ],
            "cycle": spans["cycle"].tolist(),
            "execution_id": spans["execution_id"].tolist(),
            "trace_id": hexadecimal(spans["trace_id"]),
            "span_id": hexadecimal(spans["span_id"]),
            "parent_span_id": hexadecimal(spans["parent_span_id"]),
        }


def numbers(records: Records) -> npt.NDArray[np.uint64]:
    """Number of each record in its ring."""
    found: npt.NDArray[np.uint64] = records["seq"] // np.uint64(2) - np.uint64(1)
    return found


def sequences(records: Records, lanes: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """event.sequence of each event."""
    found: npt.NDArray[np.uint64] = numbers(records) * np.uint64(LANE_FACTOR) + lanes.astype(
        np.uint64
    )
    return found


def jitter_us(records: Records) -> npt.NDArray[np.float64]:
    """Wake-up latency: actual minus scheduled wake-up, us."""
    found: npt.NDArray[np.float64] = (records["wake_ns"] - records["scheduled_ns"]).astype(
        np.int64
    ) / US
    return found


def cycle_time_us(records: Records) -> npt.NDArray[np.float64]:
    """Work time from wake-up to end, us."""
    found: npt.NDArray[np.float64] = (records["end_ns"] - records["wake_ns"]).astype(np.int64) / US
    return found


def rfc3339(realtime_ns: npt.NDArray[np.uint64]) -> list[str]:
    """Nanoseconds since 1970 as e.g. 2026-01-02T03:04:05.123456789Z."""
    stamps = realtime_ns.astype(np.int64).astype("datetime64[ns]")
    return [f"{text}Z" for text in np.datetime_as_string(stamps, unit="ns").tolist()]


def hexadecimal(ids: npt.NDArray[np.uint8]) -> list[str]:
    """Trace and span ids, shape (n, width), as text; "" for an id of zeros."""
    width = ids.shape[1] * 2
    whole = np.ascontiguousarray(ids).tobytes().hex()
    parts = (whole[at : at + width] for at in range(0, len(whole), width))
    none = "0" * width
    return ["" if part == none else part for part in parts]


def texts(raw: npt.NDArray[np.bytes_]) -> list[str]:
    """NUL-padded UTF-8."""
    return [one.decode("utf-8", "replace") for one in raw.tolist()]


@cache
def flag_text(value: int) -> str:
    """Flags of a cycle by name, "|" between them; bits without a name as a number."""
    names = [flag.name or "" for flag in CycleFlag if value & flag]
    rest = value & ~sum(CycleFlag)
    return "|".join(names + ([hex(rest)] if rest else []))


def code_text(kind: int, code: int) -> str:
    """What `code` of an event means."""
    if kind == EventKind.SPAN:
        return operation_name(code)
    if kind == EventKind.TASK:
        return name_of(TaskStatus, code)
    if kind == EventKind.REPLY:
        return name_of(Result, code).removeprefix("ERR_")
    return str(code) if code else ""


@cache
def operation_name(code: int) -> str:
    """Name of a span, as in traces: task.execute."""
    name = name_of(SpanOperation, code)
    return name.lower().replace("_", ".", 1) if name.isupper() else name


def _enumerated(enumeration: type[IntEnum], values: npt.NDArray[Any]) -> list[str]:
    known = {value: name_of(enumeration, value) for value in np.unique(values).tolist()}
    return [known[value] for value in values.tolist()]


def as_dict(row: Any) -> dict[str, Any]:
    """A row, or any flat dataclass, by field name."""
    return {name: getattr(row, name) for name in field_names(type(row))}


def as_dicts(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows by field name."""
    return [as_dict(row) for row in rows]
