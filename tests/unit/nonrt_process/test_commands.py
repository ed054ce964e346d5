"""The command port against a segment whose RT side the test plays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nonrt_process.commands import RtCommandPort
from nonrt_process.context import Context
from nonrt_process.interfaces import QueueFull, Refused, RtAbsent, RtNoReply
from shared.clock import SystemClock
from shared.core import ffi, lib
from shared.enums import CommandKind, EventKind, NameKind, RegionId, Result, RtEvent, RtState
from shared.ring import RingReader
from shared.segment import Segment
from shared.trace_context import TraceContext
from tests.unit.nonrt_process.fakes import (
    become_primary,
    fake_context,
    publish_events,
    real_segment,
)

TRACE = TraceContext(bytes(range(1, 17)), bytes(range(1, 9)), 1)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Segment, Context]]:
    with real_segment(tmp_path) as (rt, nonrt):
        become_primary(rt)
        context = fake_context(tmp_path, segment=nonrt)
        context.clock = SystemClock()  # type: ignore[assignment]
        yield rt, context


@contextmanager
def answering(rt: Segment, answer: Callable[[Any], dict[str, Any] | None]) -> Iterator[list[Any]]:
    """An RT thread that answers each command with what `answer` gives; None: not at all."""
    seen: list[Any] = []
    stop = threading.Event()
    reader = RingReader(rt, RegionId.COMMANDS)

    def run() -> None:
        while not stop.wait(0.001):
            for command in reader.read().records:
                seen.append(command.copy())
                rt.rt_status.command_tail = reader.cursor
                fields = answer(command)
                if fields is not None:
                    number = int(command["seq"]) // 2 - 1
                    row = {"kind": int(EventKind.REPLY), "reply_to": number, **fields}
                    publish_events(rt, [row], lane=0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_an_event_is_answered(both: tuple[Segment, Context]) -> None:
    rt, context = both
    reply = {"code": int(Result.OK), "cycle": 4711, "state": int(RtState.PAUSED)}
    with answering(rt, lambda _: reply) as seen:
        answer = RtCommandPort(context).call_event(RtEvent.PAUSE, TRACE, timeout_s=20)
    assert answer == (Result.OK, 4711, RtState.PAUSED)
    (command,) = seen
    assert command["kind"] == CommandKind.RT_EVENT
    assert command["key"] == RtEvent.PAUSE
    assert bytes(command["trace_id"]) == TRACE.trace_id
    assert bytes(command["span_id"]) == TRACE.span_id
    assert command["trace_flags"] == 1


def test_only_the_answer_to_this_command_counts(both: tuple[Segment, Context]) -> None:
    rt, context = both
    publish_events(rt, [{"kind": int(EventKind.REPLY), "reply_to": 0, "cycle": 1}])  # an old one

    def answer(command: Any) -> dict[str, Any]:
        publish_events(rt, [{"kind": int(EventKind.REPLY), "reply_to": 99, "code": 1}])
        return {"code": int(Result.OK), "cycle": 2, "state": 2}

    with answering(rt, answer):
        assert RtCommandPort(context).call_noop(timeout_s=20).cycle == 2


def test_a_refusal_names_state_and_result(both: tuple[Segment, Context]) -> None:
    rt, context = both
    reply = {"code": int(Result.ERR_STATE), "state": int(RtState.RUNNING)}
    with answering(rt, lambda _: reply), pytest.raises(Refused) as caught:
        RtCommandPort(context).call_event(RtEvent.START, timeout_s=20)
    assert caught.value.status == 409
    assert caught.value.extensions == {"result": "ERR_STATE"}
    assert "START" in caught.value.detail
    assert "RUNNING" in caught.value.detail


def test_silence_is_no_success(both: tuple[Segment, Context]) -> None:
    rt, context = both
    with answering(rt, lambda _: None), pytest.raises(RtNoReply):
        RtCommandPort(context).call_event(RtEvent.START, timeout_s=0.1)


def test_nothing_is_sent_without_a_living_primary(both: tuple[Segment, Context]) -> None:
    rt, context = both
    port = RtCommandPort(context)
    rt.member_struct(rt.member).pid = 2**22
    with pytest.raises(RtAbsent):
        port.send_cancel(1)
    assert port.waiting() == 0
    context.heart.segment = None  # type: ignore[misc]
    with pytest.raises(RtAbsent):
        port.call_noop()
    assert (port.free(), port.waiting()) == (0, 0)


def test_a_full_queue_is_refused_and_nothing_is_lost(both: tuple[Segment, Context]) -> None:
    rt, context = both
    port = RtCommandPort(context)
    room = port.free()
    numbers = [port.send_cancel(execution).number for execution in range(1, room + 1)]
    assert (port.free(), port.waiting()) == (0, room)
    with pytest.raises(QueueFull) as caught:
        port.send_cancel(1)
    assert caught.value.status == 429
    assert int(caught.value.headers["Retry-After"]) >= 1
    reader = RingReader(rt, RegionId.COMMANDS)
    assert reader.read().records["execution_id"].tolist() == list(range(1, room + 1))
    assert numbers == list(range(room))


def program_of(intern: Callable[[NameKind, str], int], name: str) -> bytes:
    header = ffi.new("struct mxrc_program *")
    header.bytes = ffi.sizeof("struct mxrc_program")
    header.task_name = intern(NameKind.TASK, name)
    return bytes(ffi.buffer(header))


def test_a_task_is_compiled_with_names_of_its_generation(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (first, one), real_segment(tmp_path) as (second, two):
        become_primary(first)
        become_primary(second)
        context = fake_context(tmp_path, segment=one)
        port = RtCommandPort(context)
        port.send_task(1, "a", lambda intern, _: program_of(intern, "a"), TRACE)
        context.heart.segment = two
        sent = port.send_task(2, "b", lambda intern, _: program_of(intern, "b"))
        assert sent.generation == second.generation
        staged = two.pointer(RegionId.STAGING, "struct mxrc_program_slot *")[0].program
        assert ffi.string(lib.mxrc_name_find(second.raw, staged.task_name).text) == b"b"
        (command,) = RingReader(second, RegionId.COMMANDS).read().records
        assert (command["execution_id"], command["task_id"]) == (2, b"b")


def test_a_task_that_does_not_compile_is_not_sent(both: tuple[Segment, Context]) -> None:
    _, context = both
    port = RtCommandPort(context)

    def broken(*_: object) -> bytes:
        raise ValueError("no such axis")

    with pytest.raises(ValueError, match="no such axis"):
        port.send_task(1, "a", broken)
    assert port.waiting() == 0
