"""RT event records to lines: text and fields from events.def, names, wall-clock time, threads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from nonrt_process.logs import ecs
from shared.anchors import Anchors
from shared.enums import Result, RtState, name_of
from shared.events import EventDef, event_table, format_event, format_value
from shared.layout import Records
from shared.names import Names

if TYPE_CHECKING:
    from shared.segment import Segment

PROCESS_NAME: Final = "rt_process"
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
# Loggers whose events tell how a process lives, in ECS terms.
_CATEGORIES: Final = {"rt.state": ["process"], "rt.lease": ["process"], "rt.main": ["process"]}
_CONFIGURATION: Final = ["configuration"]


@dataclass(frozen=True, slots=True)
class _Template:
    """What is the same for all events of one message id."""

    definition: EventDef | None
    logger: str
    code: str
    category: list[str] | None
    fields: tuple[tuple[str, str], ...]
    """Field and unit of each argument."""


def _template(message_id: int) -> _Template:
    row = event_table().get(message_id)
    if row is None:
        return _Template(None, "rt", str(message_id), None, ())
    category = _CONFIGURATION if row.name.startswith("CONFIG_") else _CATEGORIES.get(row.logger)
    fields = tuple(
        (ecs.argument_field(argument.name, argument.unit), argument.unit)
        for argument in row.arguments
    )
    return _Template(row, row.logger, row.name, category, fields)


class RtLines:
    """Makes the lines of one generation's events. For one thread at a time."""

    def __init__(self, segment: Segment, instance: str) -> None:
        self._segment = segment
        self._generation = segment.generation
        self._names = Names(segment)
        self._anchors = Anchors(segment)
        self._labels = {"instance": instance}
        self._templates: dict[int, _Template] = {}
        self._pids: dict[int, int] = {}

    def encode(self, events: Records, lanes: NDArray[np.uint8]) -> list[bytes]:
        """One line (newline included) for each event, in order; events have a message_id."""
        self._learn_threads()
        times = self._anchors.realtime_array(events["time_ns"])
        stamps = np.datetime_as_string(times.astype("M8[ns]"), unit="us").tolist()
        rows = zip(
            stamps,
            lanes.tolist(),
            events[_COLUMNS].tolist(),
            events["args"].tolist(),
            events["trace_id"],
            events["span_id"],
            strict=True,
        )
        return [ecs.encode(self._document(*row)) for row in rows]

    def lost(self, count: int, realtime_ns: int) -> bytes:
        """The line that says how many events were overwritten before they could be written."""
        return ecs.encode(
            {
                ecs.TIMESTAMP: f"{np.datetime64(realtime_ns // 1000, 'us')}Z",
                ecs.LEVEL: "error",
                ecs.MESSAGE: f"{count} RT events were overwritten before they were written here",
                ecs.LOGGER: "nonrt.logs",
                ecs.PROCESS_NAME: PROCESS_NAME,
                ecs.ECS: ecs.ECS_VERSION,
                ecs.EVENT_KIND: "pipeline_error",
                ecs.EVENT_CODE: "EVENTS_LOST",
                ecs.GENERATION: self._generation,
                ecs.LOST: count,
                ecs.LABELS: self._labels,
            }
        )

    def _learn_threads(self) -> None:
        """Which process each thread belongs to, while it lives."""
        for member in range(self._segment.max_members):
            place = self._segment.member_struct(member)
            pid, tid = int(place.pid), int(place.tid)
            if pid:
                self._pids[pid] = self._pids[tid] = pid

    def _document(
        self,
        stamp: str,
        lane: int,
        row: tuple[Any, ...],
        args: list[float],
        trace_id: NDArray[np.uint8],
        span_id: NDArray[np.uint8],
    ) -> dict[str, Any]:
        (
            seq, cycle, epoch, level, execution_id, task, sequence, action, message_id, slot,
            state, suppressed, tid, task_id, error_code,
        ) = row  # fmt: skip
        template = self._templates.get(message_id)
        if template is None:
            template = self._templates[message_id] = _template(message_id)
        message = format_event(message_id, args, self._names.resolve)
        document: dict[str, Any] = {
            ecs.TIMESTAMP: stamp + "Z",
            ecs.LEVEL: ecs.LEVELS[min(level, len(ecs.LEVELS) - 1)],
            ecs.MESSAGE: message,
            ecs.LOGGER: template.logger,
            ecs.PROCESS_NAME: PROCESS_NAME,
            # The main thread's number is that of its process.
            ecs.PROCESS_PID: tid if lane & 1 else self._pids.get(tid, 0),
            ecs.THREAD_ID: tid,
            ecs.THREAD_NAME: "main" if lane & 1 else "rt",
            ecs.ECS: ecs.ECS_VERSION,
            ecs.EVENT_KIND: "event",
            ecs.EVENT_CODE: template.code,
            ecs.EVENT_SEQUENCE: (seq // 2 - 1) * 16 + lane,
            ecs.GENERATION: self._generation,
            ecs.LABELS: self._labels,
            ecs.RT_STATE: name_of(RtState, state),
            ecs.RT_SLOT: slot,
            ecs.RT_CYCLE: cycle,
            ecs.RT_EPOCH: epoch,
        }
        if template.category:
            document[ecs.EVENT_CATEGORY] = template.category
        trace = trace_id.tobytes()
        if trace != _NO_TRACE:
            document[ecs.TRACE_ID] = trace.hex()
            span = span_id.tobytes()
            if span != _NO_SPAN:
                document[ecs.SPAN_ID] = span.hex()
        if execution_id:
            document[ecs.EXECUTION_ID] = execution_id
        if task_id or task:
            document[ecs.TASK_ID] = (
                task_id.decode("utf-8", "replace") if task_id else self._names.resolve(task)
            )
        if sequence:
            document[ecs.SEQUENCE_ID] = self._names.resolve(sequence)
        if action:
            document[ecs.ACTION_ID] = self._names.resolve(action)
        if suppressed:
            document[ecs.SUPPRESSED] = suppressed
        if error_code:
            document[ecs.ERROR_TYPE] = name_of(Result, error_code)
            document[ecs.ERROR_MESSAGE] = message
        for (field, unit), value in zip(template.fields, args, strict=False):
            if unit in ecs.ENUMERATED_UNITS or unit == "text":
                document[field] = format_value(value, unit, self._names.resolve)
            elif math.isfinite(value):
                document[field] = int(value) if value == int(value) else round(value, 6)
        return document


_COLUMNS: Final = [
    "seq", "cycle", "epoch", "level", "execution_id", "task_name", "sequence_name", "action_name",
    "message_id", "slot", "state", "suppressed", "tid", "task_id", "error_code",
]  # fmt: skip
