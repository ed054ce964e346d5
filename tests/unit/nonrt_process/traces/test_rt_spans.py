from __future__ import annotations

from pathlib import Path
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from nonrt_process.pump import Pump
from nonrt_process.traces import otlp
from nonrt_process.traces.rt_spans import RtSpans
from nonrt_process.traces.span_queue import SpanQueue
from nonrt_process.traces.statistics import Statistics
from shared.enums import EventKind, NameKind, RegionId, Result, SpanOperation, SpanStatus
from shared.names import Names
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import (
    batch,
    become_primary,
    events,
    fake_context,
    publish_events,
    real_segment,
)


def origin(pid: int) -> otlp.Origin:
    return otlp.Origin.make({"process.pid": pid}, "rt", "1")


class Setup:
    def __init__(self) -> None:
        self.queue = SpanQueue()
        self.statistics = Statistics(self.queue)
        self.consumer = RtSpans(self.queue, self.statistics, origin)

    def spans(self) -> list[Span]:
        taken = self.queue.take(1000, 0)
        self.queue.acknowledge(taken)
        return [Span.FromString(data) for _, data in taken.items]


def span(operation: SpanOperation, own: int, parent: int, start: int, end: int) -> dict[str, Any]:
    return {
        "kind": EventKind.SPAN,
        "code": operation,
        "trace_id": [7] * 16,
        "trace_flags": 1,
        "span_id": [own] * 8,
        "parent_span_id": [parent] * 8,
        "start_ns": start,
        "time_ns": end,
        "cycle": 42,
        "slot": 3,
        "epoch": 1,
        "execution_id": 99,
        "task_id": b"task_1",
        "span_status": SpanStatus.OK,
    }


def attributes(found: Span) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in found.attributes
    }


def test_three_spans_of_a_task(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        become_primary(rt)
        names = Names(nonrt)
        sequence = names.intern(NameKind.SEQUENCE, "main")
        action = names.intern(NameKind.ACTION, "move")
        rows = [
            span(SpanOperation.ACTION_EXECUTE, 3, 2, 100, 150)
            | {"sequence_name": sequence, "action_name": action, "step": 4},
            span(SpanOperation.SEQUENCE_RUN, 2, 1, 100, 160) | {"sequence_name": sequence},
            span(SpanOperation.TASK_EXECUTE, 1, 9, 90, 170)
            | {"span_status": SpanStatus.ERROR, "error_code": Result.ERR_TIMEOUT},
        ]
        pump = Pump(fake_context(tmp_path, segment=nonrt), setup.consumer)
        publish_events(rt, [*rows, {"kind": EventKind.LOG, "message_id": 10}])
        pump.turn()
        pump.close()
    third, second, first = setup.spans()
    assert [one.name for one in (first, second, third)] == [
        "task.execute",
        "sequence.run",
        "action.execute",
    ]
    assert first.parent_span_id == bytes([9] * 8)
    assert second.parent_span_id == first.span_id
    assert third.parent_span_id == second.span_id
    assert attributes(third) == {
        "task.id": "task_1",
        "sequence.id": "main",
        "action.id": "move",
        "rt.cycle": 42,
        "rt.slot": 3,
        "mxrc.execution_id": 99,
        "mxrc.step": 4,
    }
    assert third.end_time_unix_nano - third.start_time_unix_nano == 50
    assert first.status.code == otlp.STATUS_ERROR
    assert first.status.message == "ERR_TIMEOUT"
    assert first.flags & otlp.FLAG_PARENT_REMOTE
    assert not third.flags & otlp.FLAG_PARENT_REMOTE


def set_anchors(rt: Segment, *pairs: tuple[int, int]) -> None:
    """What the main thread of the RT process notes when the wall clock is stepped."""
    clock = rt.pointer(RegionId.CLOCK, "struct mxrc_clock *")
    for at, (monotonic, realtime) in enumerate(pairs):
        clock.anchor[at].monotonic_ns = monotonic
        clock.anchor[at].realtime_ns = realtime
    clock.count = len(pairs)


def test_a_clock_step_puts_no_child_outside_its_parent(tmp_path: Path) -> None:
    hour = 3600 * 10**9
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        # At 1000 the wall clock is put back by an hour.
        set_anchors(rt, (0, 10 * hour), (1000, 9 * hour + 1000))
        setup.consumer.on_attach(nonrt)
        rows = [
            span(SpanOperation.ACTION_EXECUTE, 3, 2, 500, 2000),
            span(SpanOperation.TASK_EXECUTE, 1, 9, 400, 2100),
        ]
        setup.consumer.on_batch(batch(events(rows), generation=rt.generation))
        action, task = setup.spans()
    assert task.start_time_unix_nano == 10 * hour + 400
    assert action.start_time_unix_nano >= task.start_time_unix_nano
    assert action.end_time_unix_nano <= task.end_time_unix_nano
    assert task.end_time_unix_nano - task.start_time_unix_nano == 1700


def test_unsampled_spans_stay_here_and_losses_are_counted(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        setup.consumer.on_attach(nonrt)
        row = span(SpanOperation.TASK_EXECUTE, 1, 9, 1, 2) | {"trace_flags": 2}
        setup.consumer.on_batch(batch(events([row]), generation=rt.generation, lost_events=7))
    assert setup.spans() == []
    assert setup.statistics.dropped_by_cause()["ring_overwritten"] == 7


def test_resource_follows_the_process_that_made_the_span(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        setup.consumer.on_attach(nonrt)
        for epoch, pid in ((1, 111), (2, 222)):
            rt.rt_status.epoch = epoch
            rt.rt_status.pid = pid
            row = span(SpanOperation.TASK_EXECUTE, epoch, 9, 1, 2) | {"epoch": epoch}
            setup.consumer.on_batch(batch(events([row]), generation=rt.generation))
        late = span(SpanOperation.TASK_EXECUTE, 5, 9, 1, 2) | {"epoch": 1}
        setup.consumer.on_batch(batch(events([late]), generation=rt.generation))
    origins = [item[0] for item in setup.queue.take(10, 0).items]
    assert origins == [origin(111), origin(222), origin(111)]


def test_an_operation_or_result_of_a_later_version_is_shown_by_number(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        setup.consumer.on_attach(nonrt)
        row = span(SpanOperation.TASK_EXECUTE, 1, 9, 5, 2) | {
            "code": 77,
            "span_status": 2,
            "error_code": 88,
        }
        setup.consumer.on_batch(batch(events([row]), generation=rt.generation))
        (found,) = setup.spans()
    assert found.name == "operation-77"
    assert "88" in found.status.message
    assert found.end_time_unix_nano == found.start_time_unix_nano, "never before its start"


def test_nothing_to_do_costs_nothing() -> None:
    assert Setup().consumer.encode(events([])) == []
