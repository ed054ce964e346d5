"""The consumer that turns finished spans of RT into requests in the spool.

It is the spool's one writer: spans that this process made itself come along through the inbox.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer
from nonrt_process.traces import cycle_spans, otlp, recovery_spans
from nonrt_process.traces.archive import Archive
from nonrt_process.traces.bottlenecks import Bottlenecks
from nonrt_process.traces.cycle_spans import CycleSelector, cycle_ids, encode_cycles
from nonrt_process.traces.exemplars import CycleExemplars
from nonrt_process.traces.governor import CpuCost, Governor
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.mark import Mark
from nonrt_process.traces.open_spans import open_spans
from nonrt_process.traces.rt_encoder import NOTHING_CARRIED, Carried, Encoded, RtEncoder
from nonrt_process.traces.run_clock import RunClock
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from nonrt_process.traces.template import Bytes, Numbers
from shared.anchors import Anchors
from shared.enums import EventKind
from shared.layout import Records
from shared.names import Names
from shared.trace_context import FLAG_SAMPLED

if TYPE_CHECKING:
    from shared.segment import Segment


REMEMBERED: Final = 512
"""Ids of the newest spans of RT: one that died between a record and its state block has both."""


class _Orphans(NamedTuple):
    """Spans that were open when their generation went."""

    generation: int
    request: bytes
    finished: list[otlp.Finished]


class RtSpans(Consumer):
    """make_origin: resource of an RT process, by its pid (0: unknown). carried: by execution id."""

    name = "traces"
    wants_events = True
    wants_cycles = True
    # A turn costs about the same for 100 cycles and for 250; a trace is to be shown within 2 s.
    interval_s = 0.25
    max_records = 4096

    def __init__(
        self,
        spool: Spool,
        inbox: Inbox,
        statistics: Statistics,
        make_origin: Callable[[int], otlp.Origin],
        carried: Callable[[int], Carried] = lambda _: NOTHING_CARRIED,
        cycle_rate: Callable[[], float | None] = lambda: None,
        archive: Archive | None = None,
        bottlenecks: Bottlenecks | None = None,
        governor: Governor | None = None,
        cost: CpuCost | None = None,
        exemplars: CycleExemplars | None = None,
    ) -> None:
        super().__init__()
        self._bottlenecks = bottlenecks
        self._governor = governor
        self._exemplars = exemplars
        self._cost = cost or CpuCost()
        self._newest: Bytes = np.zeros((0, 8), np.uint8)
        self._orphans: _Orphans | None = None
        self._spool = spool
        self._inbox = inbox
        self._statistics = statistics
        self._make_origin = make_origin
        self._carried = carried
        self._cycle_rate = cycle_rate
        self._archive = archive
        self._cycles: CycleSelector | None = None
        self._origins: dict[int, otlp.Origin] = {}
        self._pids: dict[int, int] = {}
        self._segment: Segment | None = None
        self._encoder: RtEncoder | None = None
        self._anchors: Anchors | None = None
        self._mark = Mark()

    def on_attach(self, segment: Segment) -> None:
        self._segment = segment
        self._names = Names(segment)
        self._encoder = RtEncoder(self._names.resolve, self._carried)
        self._anchors = Anchors(segment)
        self._run_clock = RunClock()
        self._pids.clear()
        self._cycles = CycleSelector(segment.generation)
        self._mark = Mark.unpack(self._spool.last_mark, segment.generation)
        orphans, self._orphans = self._orphans, None
        if orphans is not None and orphans.generation != segment.generation:
            # Nobody will go on with them: a successor would have, in the same segment.
            self._keep(orphans.request, orphans.finished, len(orphans.finished))
            self._statistics.count_closed(len(orphans.finished))
        self._newest = self._newest[:0]
        if self._bottlenecks is not None:
            self._bottlenecks.reset()

    def on_detach(self) -> None:
        self._orphans = self._find_orphans()
        self._segment = self._encoder = self._anchors = self._cycles = None

    def on_batch(self, batch: Batch) -> None:
        if batch.lost_events:
            self._statistics.count_lost_in_ring(batch.lost_events)
        # What is not behind the mark came once already, before this process was started anew.
        events = batch.events[self._mark.new_events(batch)]
        # RT records what is sampled; an unsampled one would be a mistake on its way out.
        wanted = events["kind"] == EventKind.SPAN
        wanted &= (events["trace_flags"] & FLAG_SAMPLED) != 0
        spans = events[wanted]
        cycles = self._choose(batch)
        recoveries = recovery_spans.recoveries(events)
        if not (len(spans) or len(cycles) or len(recoveries)):
            self._mark.move(batch)
            return
        with self._cost.measured():
            request, finished = self._encoded(spans) if len(spans) else (b"", [])
            if len(cycles):
                more, ended = self._encode_cycles(cycles)
                request, finished = request + more, finished + ended
                self._statistics.count_operation(cycle_spans.NAME, len(cycles))
            if len(recoveries):
                more, ended = self._encode_recoveries(recoveries)
                request, finished = request + more, finished + ended
                self._statistics.count_operation(recovery_spans.NAME, len(recoveries))
            self._mark.move(batch)
            # Those of requests come along: a trace is written once, not once for each side.
            self._keep(request, finished, len(spans) + len(cycles) + len(recoveries))
            self._newest = np.concatenate([self._newest, spans["span_id"]])[-REMEMBERED:]
            if self._bottlenecks is not None:
                self._bottlenecks.observe_rt(spans, self._names.resolve)

    def on_tick(self, now_ns: int) -> None:
        self.flush()
        if self._bottlenecks is not None:
            self._bottlenecks.tick(now_ns)
        if self._governor is not None:
            self._governor.tick(now_ns)

    def flush(self) -> None:
        """Take what is in the inbox into the spool."""
        if len(self._inbox):
            with self._cost.measured():
                self._keep(b"", [], 0)

    def _keep(self, request: bytes, finished: list[otlp.Finished], spans: int) -> None:
        """Into archive and spool: a request with so many spans, and what is in the inbox.

        finished: those of the request, for the archive.
        """
        own = self._inbox.take_all()
        if self._archive is not None:
            self._archive.add(finished + own)
        self._spool.append(request + otlp.request(own), spans + len(own), self._mark.pack())
        if self._bottlenecks is not None and own:
            self._bottlenecks.observe_own(own)

    def _find_orphans(self) -> _Orphans | None:
        assert self._segment is not None, "attached"
        spans = open_spans(self._segment)
        ended = {one.tobytes() for one in self._newest}
        spans = spans[[one.tobytes() not in ended for one in spans["span_id"]]]
        if not len(spans):
            return None
        request, finished = self._encoded(spans)
        return _Orphans(self._segment.generation, request, finished)

    def _choose(self, batch: Batch) -> Records:
        """The cycles that get a span."""
        assert self._cycles is not None, "attached"
        rate = self._cycle_rate()
        if rate is None:
            return batch.cycles[:0]
        return self._cycles.choose(batch.cycles[self._mark.new_cycles(batch)], rate)

    def _encode_recoveries(self, recoveries: Records) -> tuple[bytes, list[otlp.Finished]]:
        """A request with their spans, and the spans."""
        assert self._anchors is not None, "attached"
        assert self._segment is not None
        self._learn_pid()
        generation, period_ns = self._segment.generation, int(self._segment.lease.period_ns)
        ends = self._anchors.realtime_array(recoveries["time_ns"]).tolist()
        finished = [
            recovery_spans.finished(
                event,
                generation,
                period_ns,
                end,
                self._origin(int(event["epoch"])),
                self._names.resolve,
            )
            for event, end in zip(recoveries, ends, strict=True)
        ]
        return otlp.request(finished), finished

    def _encode_cycles(self, cycles: Records) -> tuple[bytes, list[otlp.Finished]]:
        """A request with their spans, and the spans for the archive, if there is one."""
        assert self._anchors is not None, "attached"
        assert self._segment is not None
        self._learn_pid()
        starts = self._anchors.realtime_array(cycles["wake_ns"])
        generation = self._segment.generation
        encoded = encode_cycles(cycles, generation, starts)
        ids = cycle_ids(generation, cycles["cycle"])
        if self._exemplars is not None:
            self._exemplars.observe(cycles, ids[:, :16], starts)
        finished: list[otlp.Finished] = []
        if self._archive is not None:
            ends = starts + (cycles["end_ns"] - cycles["wake_ns"])
            trace_ids, span_ids = ids[:, :16], ids[:, 16:]
            finished = self._finished(
                encoded, cycles["epoch"], trace_ids, span_ids, starts, ends, []
            )
        return self._grouped(encoded.spans, cycles["epoch"]), finished

    def _encoded(self, spans: Records) -> tuple[bytes, list[otlp.Finished]]:
        """A request with the spans of records of the event dtype, shape (n,)."""
        assert self._anchors is not None, "attached"
        assert self._encoder is not None
        self._learn_pid()
        moments = self._run_clock.moments(spans)
        since: Numbers = spans["start_ns"].astype(np.uint64) - moments  # modulo 2^64
        starts = self._anchors.realtime_array(moments) + since
        encoded = self._encoder.encode(spans, starts)
        ends = starts + (np.maximum(spans["time_ns"], spans["start_ns"]) - spans["start_ns"])
        ids, tasks = (spans["trace_id"], spans["span_id"]), spans["task_id"].tolist()
        epochs = spans["epoch"]
        finished = self._finished(encoded, epochs, *ids, starts, ends, tasks)
        return self._grouped(encoded.spans, epochs), finished

    def _finished(
        self,
        encoded: Encoded,
        epochs: npt.NDArray[np.uint32],
        trace_ids: Bytes,
        span_ids: Bytes,
        starts: Numbers,
        ends: Numbers,
        tasks: list[bytes],
    ) -> list[otlp.Finished]:
        """For the archive. tasks: task ids of the records, empty: they have none."""
        count = len(encoded.spans)
        rows = zip(
            encoded.spans,
            encoded.labels,
            epochs.tolist(),
            np.ascontiguousarray(trace_ids).view("V16").ravel().tolist(),
            np.ascontiguousarray(span_ids).view("V8").ravel().tolist(),
            starts.tolist(),
            ends.tolist(),
            tasks or [b""] * count,
            strict=True,
        )
        return [
            otlp.Finished(
                self._origin(epoch),
                element,
                trace_id,
                span_id,
                label.name,
                label.task or task.decode("utf-8", "replace"),
                label.error,
                start,
                end,
            )
            for element, label, epoch, trace_id, span_id, start, end, task in rows
        ]

    def _grouped(self, spans: list[bytes], epochs: npt.NDArray[np.uint32]) -> bytes:
        """A request with spans by the process that made them."""
        parts = []
        for epoch in np.unique(epochs).tolist():
            if epoch == epochs[0] == epochs[-1] and (epochs == epoch).all():
                chosen = spans
            else:
                chosen = [spans[at] for at in np.flatnonzero(epochs == epoch).tolist()]
            parts.append(otlp.resource_spans(self._origin(epoch), chosen))
        return b"".join(parts)

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
