"""Chrome trace events as JSON, which ui.perfetto.dev opens (Trace Event Format).

Tracks: cycles as slices with a counter of the wake-up latency, a track per execution with its task,
sequence and action spans nested, log events as instants. ts is us since the first record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import orjson

from shared.inspector.export.recording import Columns, Recording

PID: Final = 1
CYCLES: Final = 1
LOG: Final = 2
FIRST_EXECUTION: Final = 10
_DEPTH: Final = {"task.execute": 0, "sequence.run": 1, "action.execute": 2}


def write(recording: Recording, file: BinaryIO) -> None:
    """One JSON document."""
    times = [
        columns["time_ns"][0]
        for columns in (recording.cycles, recording.events)
        if columns["time_ns"]
    ]
    times += [min(recording.spans["time_ns"])] if recording.spans["time_ns"] else []
    origin = int(min(times, default=0))
    head = {
        "displayTimeUnit": "ns",
        "otherData": {
            "instance": recording.instance,
            "generation": str(recording.generation),
            "origin_monotonic_ns": str(origin),
            "lost": str(recording.lost),
        },
    }
    file.write(orjson.dumps(head)[:-1] + b',"traceEvents":[\n')
    first = True
    for event in _events(recording, origin):
        file.write((b"" if first else b",\n") + orjson.dumps(event))
        first = False
    file.write(b"\n]}\n")


def _events(recording: Recording, origin: int) -> Iterator[dict[str, Any]]:
    yield _named("process_name", 0, f"mxrc {recording.instance}")
    yield _named("thread_name", CYCLES, "RT cycles")
    yield _named("thread_name", LOG, "RT log")
    yield from _cycles(recording.cycles, origin)
    yield from _spans(recording.spans, origin)
    yield from _log(recording.events, origin)


def _named(what: str, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": PID, "tid": track, "name": what, "args": {"name": name}}


def _rows(columns: Columns) -> Iterator[dict[str, Any]]:
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _cycles(columns: Columns, origin: int) -> Iterator[dict[str, Any]]:
    kept = ("cycle", "slot", "state", "jitter_us", "flags", "skipped", "epoch", "cpu", "task",
            "action", "trace_id")  # fmt: skip
    for row in _rows(columns):
        at = (row["time_ns"] - origin) / 1e3
        yield {
            "ph": "X",
            "pid": PID,
            "tid": CYCLES,
            "ts": at,
            "dur": row["cycle_time_us"],
            "name": "cycle" if "DEADLINE_MISS" not in row["flags"] else "cycle (deadline miss)",
            "cat": "cycle",
            "args": {name: row[name] for name in kept},
        }
        yield {
            "ph": "C",
            "pid": PID,
            "ts": at,
            "name": "wake-up latency us",
            "args": {"us": row["jitter_us"]},
        }


def _spans(columns: Columns, origin: int) -> Iterator[dict[str, Any]]:
    rows = sorted(
        _rows(columns),
        key=lambda row: (row["time_ns"], _DEPTH.get(row["operation"], 3), -row["duration_ms"]),
    )
    tracks: dict[int, int] = {}
    for row in rows:
        execution = row["execution_id"]
        if execution not in tracks:
            tracks[execution] = FIRST_EXECUTION + len(tracks)
            name = f"task {row['task_id'] or row['task']} (execution {execution})"
            yield _named("thread_name", tracks[execution], name)
        label = row["action"] or row["sequence_name"] or row["task"]
        if row["operation"] == "task.execute":
            label = row["task_id"] or row["task"]
        elif row["operation"] == "sequence.run":
            label = row["sequence_name"]
        kept = ("operation", "status", "error", "trace_id", "span_id", "parent_span_id", "step")
        yield {
            "ph": "X",
            "pid": PID,
            "tid": tracks[execution],
            "ts": (row["time_ns"] - origin) / 1e3,
            "dur": row["duration_ms"] * 1e3,
            "name": label or row["operation"],
            "cat": row["operation"],
            "args": {name: row[name] for name in kept},
        }


def _log(columns: Columns, origin: int) -> Iterator[dict[str, Any]]:
    for row in _rows(columns):
        if row["message"]:
            yield {
                "ph": "i",
                "s": "t",
                "pid": PID,
                "tid": LOG,
                "ts": (row["time_ns"] - origin) / 1e3,
                "name": row["message"],
                "cat": row["logger"],
                "args": {"level": row["level"], "cycle": row["cycle"], "trace_id": row["trace_id"]},
            }
