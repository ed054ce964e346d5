"""The newest valid state block as plain data: what a successor goes on from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from shared.core import ffi, lib
from shared.enums import RtState, SafeCause, StateSection, TaskStatus, name_of
from shared.names import Names
from shared.segment import Segment

_SUPPORTED_VERSION: Final = 1


def read_block(segment: Segment) -> Any:
    """The newest valid state block as it is, a struct mxrc_state_block *; None: there is none."""
    block = ffi.new("struct mxrc_state_block *")
    return block if lib.mxrc_state_read(segment.raw, block) else None


def read_state(segment: Segment) -> dict[str, Any] | None:
    """The newest valid state block in words, see `describe`; None when there is none."""
    block = read_block(segment)
    return None if block is None else describe(segment, block)


def describe(segment: Segment, block: Any) -> dict[str, Any]:
    """What a state block says.

    {"epoch", "cycle", "time_ns", "executive": {...}, "axes": [{...}], "tasks": [{...}]}; ids as hex
    (trace) or text (names); times in ns of CLOCK_MONOTONIC. Sections of another version and
    those without a description here are given as {"version", "hex"} under "section_<id>".
    """
    state: dict[str, Any] = {
        "epoch": int(block.epoch),
        "cycle": int(block.cycle),
        "time_ns": int(block.time_ns),
    }
    names = Names(segment)
    base = ffi.cast("uint8_t *", block)
    for index in range(min(int(block.section_count), lib.MXRC_STATE_SECTIONS)):
        section = block.section[index]
        parse = _PARSERS.get(section.id)
        place = base + section.offset
        if parse is None or section.version != _SUPPORTED_VERSION:
            raw = bytes(ffi.buffer(place, section.bytes))
            state[f"section_{section.id}"] = {"version": int(section.version), "hex": raw.hex()}
            continue
        key, reader = parse
        state[key] = reader(segment, names, place, int(section.bytes))
    return state


def _executive(_segment: Segment, _names: Names, place: Any, _size: int) -> dict[str, Any]:
    section = ffi.cast("struct mxrc_executive_state *", place)
    return {
        "state": name_of(RtState, section.state),
        "state_before": name_of(RtState, section.state_before),
        "safe_cause": name_of(SafeCause, section.safe_cause),
        "slot": int(section.slot),
        "cycle": int(section.cycle),
        "command_tail": int(section.command_tail),
        "state_since_ns": int(section.state_since_ns),
    }


def _axes(segment: Segment, _names: Names, place: Any, size: int) -> list[dict[str, float]]:
    section = ffi.cast("struct mxrc_axis_state *", place)
    held = size // ffi.sizeof("struct mxrc_axis_state")
    count = min(held, int(segment.header.axis_count))
    fields = [name for name, _ in ffi.typeof("struct mxrc_axis_state").fields]
    return [{name: float(getattr(section[at], name)) for name in fields} for at in range(count)]


def _tasks(segment: Segment, names: Names, place: Any, size: int) -> list[dict[str, Any]]:
    section = ffi.cast("struct mxrc_task_state *", place)
    count = size // ffi.sizeof("struct mxrc_task_state")
    return [_task(segment, names, section[at]) for at in range(count) if section[at].execution_id]


def _task(segment: Segment, names: Names, task: Any) -> dict[str, Any]:
    slots = segment.pointer(_PROGRAMS, "struct mxrc_program_slot *")
    slot = slots[task.program_slot] if task.program_slot < lib.MXRC_TASKS else None
    program = slot.program if slot is not None and slot.program.crc == task.program_crc else None
    action = 0
    if slot is not None and program is not None and task.strand.op < program.op_count:
        action = int(slot.op[task.strand.op].action_name)
    return {
        "execution_id": int(task.execution_id),
        "task_id": ffi.string(program.task_id).decode("utf-8", "replace") if program else "",
        "task": names.resolve(int(program.task_name)) if program else "",
        "sequence": names.resolve(int(program.sequence_name)) if program else "",
        "action": names.resolve(action),
        "step": int(task.strand.op),
        "status": name_of(TaskStatus, task.status),
        "phase": int(task.strand.phase),
        "retries": int(task.strand.retries),
        "runs": int(task.runs),
        "progress": int(task.progress) / 10,
        "waits_for": int(task.waits_for),
        "paused": bool(task.paused),
        "axes": [axis for axis in range(lib.MXRC_AXES) if task.axes >> axis & 1],
        "trace_id": bytes(task.trace_id).hex(),
        "task_span_id": bytes(task.task_span_id).hex(),
        "trace_flags": int(task.trace_flags),
        "task_start_ns": int(task.task_start_ns),
        "action_start_ns": int(task.strand.action_start_ns),
        "action_elapsed_ns": int(task.strand.elapsed_ns),
        "program_crc": int(task.program_crc),
    }


_PROGRAMS: Final = int(lib.MXRC_REGION_PROGRAMS)
_Parser = tuple[str, Callable[[Segment, Names, Any, int], Any]]
_PARSERS: Final[dict[int, _Parser]] = {
    StateSection.EXECUTIVE: ("executive", _executive),
    StateSection.AXES: ("axes", _axes),
    StateSection.TASKS: ("tasks", _tasks),
}
