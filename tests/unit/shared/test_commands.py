from __future__ import annotations

from typing import Any

import pytest

from shared.commands import CommandQueue, CommandQueueFull, CommandTrace
from shared.config import Config
from shared.core import ffi, lib
from shared.datastore import DataStore
from shared.enums import CommandKind, RegionId, RtEvent
from shared.names import Names
from shared.program import compile_task
from shared.segment import Segment


def command(segment: Segment, number: int) -> Any:
    ring = ffi.new("struct mxrc_ring *")
    assert lib.mxrc_ring_open(ring, segment.raw, int(RegionId.COMMANDS)) == 0
    found = ffi.new("struct mxrc_command *")
    assert lib.mxrc_ring_read_one(ring, number, found)
    return found


def program(nonrt: Segment, config: Config, task_id: str = "task_1") -> bytes:
    definition = config.find_task(task_id)
    assert definition is not None
    keys, intern = DataStore(nonrt).keys, Names(nonrt).intern
    return compile_task(definition, config.robot, keys, intern, task_id=task_id).data


def test_an_event_with_its_trace(rt: Segment, nonrt: Segment) -> None:
    queue = CommandQueue(nonrt)
    trace = CommandTrace(bytes(range(16)), bytes(range(8)), 1)
    number = queue.send_event(RtEvent.PAUSE, trace)
    sent = command(rt, number)
    assert (sent.kind, sent.key, sent.trace_flags) == (CommandKind.RT_EVENT, RtEvent.PAUSE, 1)
    assert bytes(sent.trace_id) == bytes(range(16))
    assert bytes(sent.span_id) == bytes(range(8))
    assert sent.time_ns > 0


def test_a_task_arrives_with_its_program(rt: Segment, nonrt: Segment, config: Config) -> None:
    data = program(nonrt, config)
    number = CommandQueue(nonrt).send_task(7, "task_1", data)
    sent = command(rt, number)
    staged = rt.pointer(RegionId.STAGING, "struct mxrc_program_slot *")[sent.program]
    assert bytes(ffi.buffer(ffi.addressof(staged), len(data))) == data
    assert sent.execution_id == 7
    assert (
        sent.program_crc == staged.program.crc == lib.mxrc_program_checksum(ffi.addressof(staged))
    )
    assert ffi.string(sent.task_id) == b"task_1"


def test_full_is_said_and_room_comes_back(rt: Segment, nonrt: Segment) -> None:
    queue = CommandQueue(nonrt)
    capacity = queue.free
    for _ in range(capacity):
        queue.send(CommandKind.NOOP)
    with pytest.raises(CommandQueueFull):
        queue.send(CommandKind.NOOP)
    rt.rt_status.command_tail = 3
    assert queue.free == 3
    queue.send(CommandKind.NOOP)


def test_a_staging_slot_is_used_again_only_when_rt_has_taken_its_command(
    rt: Segment, nonrt: Segment, config: Config
) -> None:
    queue, data = CommandQueue(nonrt), program(nonrt, config)
    for execution in range(1, 5):
        queue.send_task(execution, f"task_{execution}", data)
    with pytest.raises(CommandQueueFull, match="4 staging slots"):
        queue.send_task(5, "task_5", data)
    rt.rt_status.command_tail = 2
    number = queue.send_task(5, "task_5", data)
    assert command(rt, number).program == command(rt, 0).program


def test_a_successor_does_not_overwrite_what_its_predecessor_staged(
    rt: Segment, nonrt: Segment, config: Config
) -> None:
    data = program(nonrt, config)
    CommandQueue(nonrt).send_task(1, "task_1", data)
    number = CommandQueue(nonrt).send_task(2, "task_2", data)
    assert command(rt, number).program != command(rt, 0).program


def test_a_program_of_impossible_size_is_refused(nonrt: Segment) -> None:
    with pytest.raises(ValueError, match="bytes"):
        CommandQueue(nonrt).send_task(1, "task_1", b"too short")
