"""The spans of a trace, as the API gives them, for the eye: in the terminal and for Perfetto."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from shared.cli.output import cell

Span = Mapping[str, Any]

NAMES: Final = 44
TIMES: Final = 24
_LABELS: Final = ("action.id", "sequence.id", "task.id", "rt.cycle")


def waterfall(spans: Sequence[Span], width: int) -> Iterator[str]:
    """Lines: name (indented below its parent), start and duration in ms, bar, error."""
    begin = min(span["start_ns"] for span in spans)
    whole = max(max(span["end_ns"] for span in spans) - begin, 1)
    room = max(10, width - NAMES - TIMES - 2)
    yield f"{'SPAN':{NAMES}}{'START ms':>11}{'TOOK ms':>12}"
    for depth, span in _tree(spans):
        name = cell("  " * depth + _label(span))
        if len(name) > NAMES - 1:
            name = name[: NAMES - 2] + "…"
        start = span["start_ns"] - begin
        first = min(room - 1, start * room // whole)
        last = min(room, max(first + 1, -(-(span["end_ns"] - begin) * room // whole)))
        bar = " " * first + ("!" if span["error"] else "█") * (last - first)
        error = f"  {cell(span['error'])}" if span["error"] else ""
        took = span["duration_ms"]
        yield f"{name:{NAMES}}{start / 1e6:11.3f}{took:12.3f}  {bar}{error}".rstrip()


def _label(span: Span) -> str:
    of = next((span["attributes"][key] for key in _LABELS if key in span["attributes"]), None)
    return span["name"] if of is None else f"{span['name']} {of}"


def _tree(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """(depth, span), children behind their parent; a span whose parent is not there is a root."""
    known = {span["span_id"] for span in spans}
    children: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda one: one["start_ns"]):
        parent = span["parent_span_id"]
        children.setdefault(parent if parent in known else None, []).append(span)
    stack = [(0, span) for span in reversed(children.get(None, []))]
    seen: set[str] = set()
    while stack:
        depth, span = stack.pop()
        if span["span_id"] in seen:
            continue
        seen.add(span["span_id"])
        yield depth, span
        stack += [(depth + 1, child) for child in reversed(children.get(span["span_id"], []))]


def perfetto(spans: Sequence[Span]) -> dict[str, Any]:
    """Trace Event Format: a track per process and execution, one of cycles, misses as instants."""
    begin = min(span["start_ns"] for span in spans)
    tracks: dict[tuple[str, str], int] = {}
    events: list[dict[str, Any]] = []
    for span in sorted(spans, key=lambda one: (one["start_ns"], -one["end_ns"])):
        cycle = span["name"] == "rt.cycle"
        execution = span["attributes"].get("mxrc.execution_id")
        track = "RT cycles" if cycle else f"execution {execution}" if execution else "requests"
        key = (span["process"], track)
        if key not in tracks:
            tracks[key] = len(tracks) + 1
            name = {"name": f"{track} ({span['process']})"}
            events.append(_event("M", tracks[key], "thread_name", args=name))
        at = (span["start_ns"] - begin) / 1e3
        arguments = {**span["attributes"], "error": span["error"], "span_id": span["span_id"]}
        events.append(
            _event(
                "X",
                tracks[key],
                span["name"] if cycle else _label(span),
                ts=at,
                dur=span["duration_ms"] * 1e3,
                cat=span["name"],
                args=arguments,
            )
        )
        if span["attributes"].get("rt.deadline_missed"):
            miss = _event("i", tracks[key], "deadline missed", ts=at, s="t", cat="miss")
            events.append(miss)
    return {
        "displayTimeUnit": "ns",
        "otherData": {"origin_unix_ns": str(begin)},
        "traceEvents": events,
    }


def _event(phase: str, track: int, name: str, **more: Any) -> dict[str, Any]:
    return {"ph": phase, "pid": 1, "tid": track, "name": name, **more}
