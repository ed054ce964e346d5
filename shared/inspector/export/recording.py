"""What is exported: everything that the rings hold at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.anchors import Anchors
from shared.documents import read_primary_document
from shared.inspector.records import Cycles, Events, read_cycles, read_events
from shared.inspector.rows import Reading
from shared.layout import Records
from shared.segment import Segment

Columns = dict[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Recording:
    """Columns by kind, see rows.py, and the wall-clock ns of each row (of a span: its start)."""

    instance: str
    generation: int
    period_us: float
    axes: tuple[str, ...]
    cycles: Columns
    events: Columns
    spans: Columns
    cycle_times: npt.NDArray[np.uint64]
    event_times: npt.NDArray[np.uint64]
    span_times: npt.NDArray[np.uint64]
    lost: int

    def columns(self, what: str) -> Columns:
        """cycles, events or spans."""
        return {"cycles": self.cycles, "events": self.events, "spans": self.spans}[what]


def count(columns: Columns) -> int:
    """Rows of a table."""
    return len(columns["time_ns"])


def record(instance: str, segment: Segment, last: int | None, since_ns: int) -> Recording:
    """Read the rings: the newest `last` cycles, and the events since the first of them."""
    cycles: Cycles = read_cycles(segment, last, since_ns)
    if last is not None and len(cycles.records):
        since_ns = max(since_ns, int(cycles.records[0]["wake_ns"]))
    events: Events = read_events(segment, None, since_ns)
    lost = cycles.lost + events.lost
    return make_recording(instance, segment, cycles.records, events.records, events.lanes, lost)


def make_recording(
    instance: str,
    segment: Segment,
    cycles: Records,
    events: Records,
    lanes: npt.NDArray[np.uint8],
    lost: int,
) -> Recording:
    """Of records that were read: (n,) cycles, (m,) events and the lane of each."""
    reading, anchors = Reading(segment), Anchors(segment)
    spans = reading.span_columns(events, lanes)

    def realtime(columns: Columns) -> npt.NDArray[np.uint64]:
        return anchors.realtime_array(np.array(columns["time_ns"], np.uint64))

    cycle_columns = reading.cycle_columns(cycles)
    event_columns = reading.event_columns(events, lanes)
    return Recording(
        instance=instance,
        generation=segment.generation,
        period_us=int(segment.header.period_ns) / 1e3,
        axes=axis_names(segment),
        cycles=cycle_columns,
        events=event_columns,
        spans=spans,
        cycle_times=realtime(cycle_columns),
        event_times=realtime(event_columns),
        span_times=realtime(spans),
        lost=lost,
    )


def axis_names(segment: Segment) -> tuple[str, ...]:
    """Names of the axes as the RT process published them, else axis0, axis1, ..."""
    wanted = min(int(segment.header.axis_count), 8)
    axes = read_primary_document(segment).get("config", {}).get("axes", [])
    names = [str(axis.get("name", "")) for axis in axes if isinstance(axis, dict)][:wanted]
    return tuple(names + [f"axis{at}" for at in range(len(names), wanted)])


def flattened(recording: Recording, what: str) -> Columns:
    """Columns of numbers and texts only: a list per axis becomes a column per axis."""
    flat: Columns = {}
    for name, values in recording.columns(what).items():
        if what == "cycles" and name in ("setpoint", "position", "velocity", "effort"):
            for at, axis in enumerate(recording.axes):
                flat[f"{name}_{axis}"] = [one[at] for one in values]
        else:
            flat[name] = values
    return flat
