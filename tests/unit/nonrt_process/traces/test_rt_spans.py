from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from nonrt_process.pump import Pump
from nonrt_process.traces import otlp
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.rt_spans import RtSpans
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from shared.core import ffi, lib
from shared.enums import (
    EventKind,
    NameKind,
    RegionId,
    Result,
    SpanOperation,
    SpanStatus,
    StateSection,
    TaskStatus,
)
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
    def __init__(self, folder: Path | None = None) -> None:
        self.spool = Spool(folder, logging.getLogger("test.spool"))
        self.spool.open()
        inbox = Inbox()
        self.statistics = Statistics(inbox, self.spool)
        self.consumer = RtSpans(self.spool, inbox, self.statistics, origin)

    def request(self) -> ExportTraceServiceRequest:
        taken = self.spool.take(1000)
        if taken is None:
            return ExportTraceServiceRequest()
        self.spool.acknowledge(taken)
        return ExportTraceServiceRequest.FromString(taken.body)

    def spans(self) -> list[Span]:
        return [
            span
            for resource in self.request().resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


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


def test_a_span_of_the_bus(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        become_primary(rt)
        topics = [Names(nonrt).intern(NameKind.TOPIC, name) for name in ("gripped", "dropped")]
        rows = [
            span(SpanOperation.EVENTBUS_PUBLISH, 4 + at, 3, 100, 100)
            | {"args": [topic, 0, 0, 0, 0, 0]}
            for at, topic in enumerate(topics)
        ]
        pump = Pump(fake_context(tmp_path, segment=nonrt), setup.consumer)
        publish_events(rt, rows)
        pump.turn()
        pump.close()
    found = setup.spans()
    assert [one.name for one in found] == ["eventbus.publish"] * 2
    assert [attributes(one)["eventbus.topic"] for one in found] == ["gripped", "dropped"]
    assert {one.kind for one in found} == {Span.SPAN_KIND_PRODUCER}
    assert {one.parent_span_id for one in found} == {bytes([3] * 8)}


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


def test_a_run_keeps_the_wall_clock_that_it_began_with(tmp_path: Path) -> None:
    """Its first action ends, the clock is stepped, the second begins and ends, then the task."""
    hour = 3600 * 10**9
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        set_anchors(rt, (0, 10 * hour))
        setup.consumer.on_attach(nonrt)

        def record(first: int, *rows: dict[str, Any]) -> None:
            of_run = events([row | {"execution_id": 7} for row in rows], first)
            setup.consumer.on_batch(batch(of_run, generation=rt.generation))

        record(0, span(SpanOperation.ACTION_EXECUTE, 3, 2, 400, 900))
        set_anchors(rt, (0, 10 * hour), (1000, 11 * hour + 1000))
        record(1, span(SpanOperation.ACTION_EXECUTE, 4, 2, 1100, 2000))
        record(
            2,
            span(SpanOperation.SEQUENCE_RUN, 2, 1, 400, 2000),
            span(SpanOperation.TASK_EXECUTE, 1, 9, 400, 2000),
        )
        record(4, span(SpanOperation.TASK_EXECUTE, 5, 9, 3000, 3500))
    first, second, sequence, task, again = setup.spans()
    assert first.start_time_unix_nano == task.start_time_unix_nano == 10 * hour + 400
    assert second.start_time_unix_nano == 10 * hour + 1100
    assert second.end_time_unix_nano == task.end_time_unix_nano == 10 * hour + 2000
    assert sequence.start_time_unix_nano == 10 * hour + 400
    assert again.start_time_unix_nano == 11 * hour + 3000


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
        for number, (epoch, pid) in enumerate(((1, 111), (2, 222))):
            rt.rt_status.epoch = epoch
            rt.rt_status.pid = pid
            row = span(SpanOperation.TASK_EXECUTE, epoch, 9, 1, 2) | {"epoch": epoch}
            setup.consumer.on_batch(batch(events([row], number), generation=rt.generation))
        late = span(SpanOperation.TASK_EXECUTE, 5, 9, 1, 2) | {"epoch": 1}
        setup.consumer.on_batch(batch(events([late], 2), generation=rt.generation))
    found = [
        resource.resource.attributes[0].value.int_value
        for resource in setup.request().resource_spans
    ]
    assert found == [111, 222, 111]


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


def test_what_is_in_the_spool_already_is_left_out_after_a_crash(tmp_path: Path) -> None:
    """The cursor moves behind the spool: a batch that comes again must not repeat its spans."""
    rows = [span(SpanOperation.TASK_EXECUTE, n, 9, 1, 2) for n in range(1, 6)]
    with real_segment(tmp_path) as (rt, nonrt):
        setup = Setup(tmp_path / "spool")
        setup.consumer.on_attach(nonrt)
        setup.consumer.on_batch(batch(events(rows[:3]), generation=rt.generation))
        assert len(setup.spans()) == 3
        setup.spool.close()

        again = Setup(tmp_path / "spool")
        again.consumer.on_attach(nonrt)
        again.consumer.on_batch(batch(events(rows), generation=rt.generation))
        assert [found.span_id[0] for found in again.spans()] == [4, 5]

        # A new generation numbers its records anew.
        other = Setup(tmp_path / "elsewhere")
        other.consumer.on_attach(nonrt)
        other.consumer.on_batch(batch(events(rows), generation=rt.generation))
        assert len(other.spans()) == 5
        again.spool.close()
        other.spool.close()


def test_a_batch_that_failed_is_taken_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup()
    row = span(SpanOperation.TASK_EXECUTE, 1, 9, 1, 2)
    with real_segment(tmp_path) as (rt, nonrt):
        setup.consumer.on_attach(nonrt)
        given = batch(events([row]), generation=rt.generation)
        with monkeypatch.context() as broken:
            broken.setattr(setup.consumer, "_encoded", lambda _: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                setup.consumer.on_batch(given)
        setup.consumer.on_batch(given)
    assert len(setup.spans()) == 1


def running_task(rt: Segment, phase: int) -> None:
    """The state block of an RT process that is in the second action of a task."""
    slot = rt.pointer(RegionId.PROGRAMS, "struct mxrc_program_slot *")[3]
    slot.program.crc, slot.program.op_count = 77, 3
    slot.program.task_id = b"orphan"
    slot.op[1].action_name = 0
    block = ffi.new("struct mxrc_state_block *")
    base = ffi.cast("uint8_t *", block)
    first = ffi.offsetof("struct mxrc_state_block", "data")
    task = ffi.cast("struct mxrc_task_state *", base + first)
    task.execution_id, task.program_slot, task.program_crc, task.strand.op = 5, 3, 77, 1
    task.status, task.strand.phase, task.trace_flags = TaskStatus.RUNNING, phase, 1
    for name, value in (("trace", 7), ("parent_span", 9), ("task_span", 1)):
        ffi.memmove(
            getattr(task, f"{name}_id"),
            bytes([value] * 16),
            ffi.sizeof(getattr(task, f"{name}_id")),
        )
    ffi.memmove(task.sequence_span_id, bytes([2] * 8), 8)
    ffi.memmove(task.strand.action_span_id, bytes([3] * 8), 8)
    task.task_start_ns, task.strand.action_start_ns = 100, 200
    block.epoch, block.cycle, block.time_ns = 1, 50, 900
    block.section_count = 1
    block.section[0].id, block.section[0].version = StateSection.TASKS, 1
    block.section[0].offset = first
    block.section[0].bytes = ffi.sizeof("struct mxrc_task_state")
    block.bytes = first + block.section[0].bytes
    epoch = ffi.offsetof("struct mxrc_state_block", "epoch")
    block.crc = lib.mxrc_crc32c(0, base + epoch, block.bytes - epoch)
    block.seq = 2
    shared = rt.pointer(RegionId.STATE, "struct mxrc_state_block *")
    ffi.memmove(shared, block, ffi.sizeof("struct mxrc_state_block"))


@pytest.mark.parametrize("phase", [0, 1])
def test_spans_that_nobody_goes_on_with_are_closed(tmp_path: Path, phase: int) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt), real_segment(tmp_path) as (_, other):
        become_primary(rt)
        context = fake_context(tmp_path, segment=nonrt)
        pump = Pump(context, setup.consumer)
        publish_events(rt, [span(SpanOperation.ACTION_EXECUTE, 8, 2, 100, 150)])
        pump.turn()
        running_task(rt, phase)
        context.heart.segment = other
        pump.turn()
        pump.close()
    first, *closed = setup.spans()
    assert first.span_id == bytes([8] * 8)
    names = ["action.execute", "sequence.run", "task.execute"][1 - phase :]
    assert [one.name for one in closed] == names
    assert closed[-1].parent_span_id == bytes([9] * 8)
    assert closed[-2].parent_span_id == closed[-1].span_id
    for one in closed:
        assert one.status.code == otlp.STATUS_ERROR
        assert one.status.message == "ERR_RESTART"
        assert attributes(one)["task.id"] == "orphan"
        assert one.end_time_unix_nano - one.start_time_unix_nano in (700, 800)
    assert setup.statistics.closed() == len(closed)


def test_what_a_successor_may_go_on_with_stays_open(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        become_primary(rt)
        context = fake_context(tmp_path, segment=nonrt)
        pump = Pump(context, setup.consumer)
        pump.turn()
        running_task(rt, 1)
        context.heart.segment = None
        pump.turn()
        context.heart.segment = nonrt
        pump.turn()
        pump.close()
    assert setup.spans() == []


def test_a_span_that_ended_in_the_last_cycle_is_not_closed_again(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt), real_segment(tmp_path) as (_, other):
        become_primary(rt)
        context = fake_context(tmp_path, segment=nonrt)
        pump = Pump(context, setup.consumer)
        publish_events(rt, [span(SpanOperation.ACTION_EXECUTE, 3, 2, 200, 950)])
        pump.turn()
        running_task(rt, 1)
        context.heart.segment = other
        pump.turn()
        pump.close()
    assert [one.name for one in setup.spans()] == [
        "action.execute",
        "sequence.run",
        "task.execute",
    ]
