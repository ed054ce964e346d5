"""The consumer that turns finished spans of RT (MXRC_EVENT_SPAN) into OTLP spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer
from nonrt_process.traces import otlp
from nonrt_process.traces.span_queue import SpanQueue
from nonrt_process.traces.statistics import Statistics
from shared.anchors import Anchors
from shared.enums import EventKind, Result, SpanOperation, SpanStatus, name_of
from shared.layout import Records
from shared.names import Names
from shared.trace_context import FLAG_SAMPLED

if TYPE_CHECKING:
    from shared.segment import Segment

OPERATIONS: Final = {
    SpanOperation.TASK_EXECUTE: "task.execute",
    SpanOperation.SEQUENCE_RUN: "sequence.run",
    SpanOperation.ACTION_EXECUTE: "action.execute",
    SpanOperation.EVENTBUS_PUBLISH: "eventbus.publish",
    SpanOperation.RT_CYCLE: "rt.cycle",
}
_COLUMNS: Final = [
    "code", "cycle", "epoch", "slot", "trace_flags", "execution_id", "task_name", "sequence_name",
    "action_name", "task_id", "start_ns", "time_ns", "span_status", "error_code", "step",
]  # fmt: skip


class RtSpans(Consumer):
    """Encodes and queues them. make_origin: resource of an RT process, by its pid (0: unknown)."""

    name = "traces"
    wants_events = True
    interval_s = 0.1

    def __init__(
        self,
        queue: SpanQueue,
        statistics: Statistics,
        make_origin: Callable[[int], otlp.Origin],
    ) -> None:
        super().__init__()
        self._queue = queue
        self._statistics = statistics
        self._make_origin = make_origin
        self._origins: dict[int, otlp.Origin] = {}
        self._pids: dict[int, int] = {}
        self._segment: Segment | None = None
        self._names: Names | None = None
        self._anchors: Anchors | None = None

    def on_attach(self, segment: Segment) -> None:
        self._segment = segment
        self._names = Names(segment)
        self._anchors = Anchors(segment)
        self._pids.clear()

    def on_detach(self) -> None:
        self._segment = self._names = self._anchors = None

    def on_batch(self, batch: Batch) -> None:
        if batch.lost_events:
            self._statistics.count_lost_in_ring(batch.lost_events)
        spans, _ = batch.select(EventKind.SPAN)
        # RT records what is sampled; an unsampled one would be a mistake on its way out.
        self._queue.put(self.encode(spans[(spans["trace_flags"] & FLAG_SAMPLED) != 0]))

    def encode(self, spans: Records) -> list[otlp.Item]:
        """The spans of records of the event dtype, shape (n,)."""
        if not len(spans):
            return []
        assert self._anchors is not None, "attached"
        self._learn_pid()
        # The start is converted, the duration added: a clock step in between changes neither the
        # duration nor who encloses whom.
        starts = self._anchors.realtime_array(spans["start_ns"])
        ids = zip(
            (value.tobytes() for value in spans["trace_id"]),
            (value.tobytes() for value in spans["span_id"]),
            (value.tobytes() for value in spans["parent_span_id"]),
            strict=True,
        )
        rows = zip(starts.tolist(), ids, spans[_COLUMNS].tolist(), strict=True)
        return [self._encode(start, *span_ids, row) for start, span_ids, row in rows]

    def _encode(
        self, start: int, trace_id: bytes, span_id: bytes, parent: bytes, row: tuple[Any, ...]
    ) -> otlp.Item:
        (
            operation, cycle, epoch, slot, trace_flags, execution_id, task, sequence, action,
            task_id, start_ns, end_ns, status, error, step,
        ) = row  # fmt: skip
        assert self._names is not None
        resolve = self._names.resolve
        name = OPERATIONS.get(operation, f"operation-{operation}")
        task_text = task_id.decode("utf-8", "replace") if task_id else resolve(task)
        parts = [
            otlp.text_attribute("task.id", task_text),
            otlp.attribute("rt.cycle", cycle),
            otlp.attribute("rt.slot", slot),
            otlp.attribute("mxrc.execution_id", execution_id),
        ]
        if sequence:
            parts.append(otlp.text_attribute("sequence.id", resolve(sequence)))
        if action:
            parts.append(otlp.text_attribute("action.id", resolve(action)))
            parts.append(otlp.attribute("mxrc.step", step))
        failed = status == SpanStatus.ERROR
        reason = name_of(Result, error) if failed and error else ""
        if reason:
            parts.append(otlp.text_attribute("error.type", reason))
        flags = trace_flags | otlp.FLAG_PARENT_KNOWN
        if operation == SpanOperation.TASK_EXECUTE:
            flags |= otlp.FLAG_PARENT_REMOTE
        data = otlp.span(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent,
            name=name,
            kind=otlp.KIND_INTERNAL,
            start_ns=start,
            end_ns=start + max(0, end_ns - start_ns),
            attributes=b"".join(parts),
            status=min(status, otlp.STATUS_ERROR),
            status_message=reason,
            flags=flags,
        )
        return self._origin(epoch), data

    def _learn_pid(self) -> None:
        """Which process holds the epoch in force."""
        assert self._segment is not None
        status = self._segment.rt_status
        self._pids[int(status.epoch)] = int(status.pid)

    def _origin(self, epoch: int) -> otlp.Origin:
        pid = self._pids.get(epoch, 0)
        origin = self._origins.get(pid)
        if origin is None:
            origin = self._origins[pid] = self._make_origin(pid)
        return origin
