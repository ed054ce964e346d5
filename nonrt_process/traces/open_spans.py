"""Spans that were open when an RT process died and nobody went on from its segment.

The state block is the table of open spans: the ids and starts of every execution in progress. A
successor in the same segment goes on with them (or ends them, by the task's restart policy); when
the segment itself is replaced, this process ends them, with the reason.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from shared.core import ffi, lib
from shared.enums import (
    EventKind,
    OpKind,
    Result,
    SpanOperation,
    SpanStatus,
    StateSection,
    TaskStatus,
)
from shared.layout import EVENT_DTYPE, Records
from shared.segment import Segment
from shared.trace_context import FLAG_SAMPLED

REASON: Final = Result.ERR_RESTART


def open_spans(segment: Segment) -> Records:
    """Records as RT would have written them, ended when it was last alive: children first.

    Only what is sampled; empty when the segment was left in order or has no valid state block.
    """
    none: Records = np.zeros(0, EVENT_DTYPE)
    block = ffi.new("struct mxrc_state_block *")
    if int(segment.header.state) == lib.MXRC_SEGMENT_RETIRED:
        return none
    if not lib.mxrc_state_read(segment.raw, block):
        return none
    branches = _section(block, StateSection.BRANCHES, "struct mxrc_strand")
    spans = []
    for task in _section(block, StateSection.TASKS, "struct mxrc_task_state"):
        own = [task.strand, *(one for one in branches if one.owner == task.program_slot + 1)]
        spans += _of_task(segment, task, own)
    if not spans:
        return none
    out = np.zeros(len(spans), EVENT_DTYPE)
    for record, values in zip(out, spans, strict=True):
        for name, value in values.items():
            record[name] = value
    out["kind"] = EventKind.SPAN
    out["span_status"], out["error_code"] = SpanStatus.ERROR, REASON
    out["time_ns"], out["cycle"], out["epoch"] = block.time_ns, block.cycle, block.epoch
    return out


def _section(block: Any, wanted: StateSection, struct: str) -> list[Any]:
    for index in range(min(int(block.section_count), lib.MXRC_STATE_SECTIONS)):
        section = block.section[index]
        if section.id == wanted and section.version == 1:
            items = ffi.cast(f"{struct} *", ffi.cast("uint8_t *", block) + section.offset)
            return [items[at] for at in range(section.bytes // ffi.sizeof(struct))]
    return []


def _of_task(segment: Segment, task: Any, strands: list[Any]) -> list[dict[str, Any]]:
    sampled = task.trace_flags & FLAG_SAMPLED and task.execution_id
    if not sampled or task.status != TaskStatus.RUNNING or task.program_slot >= lib.MXRC_TASKS:
        return []
    slots = segment.pointer(int(lib.MXRC_REGION_PROGRAMS), "struct mxrc_program_slot *")
    slot = slots[task.program_slot]
    if slot.program.crc != task.program_crc or any(
        strand.op >= slot.program.op_count for strand in strands
    ):
        return []
    common = {
        "trace_id": list(task.trace_id),
        "trace_flags": task.trace_flags,
        "execution_id": task.execution_id,
        "task_name": slot.program.task_name,
        "task_id": ffi.string(slot.program.task_id),
        "step": task.strand.op,
        "start_ns": task.task_start_ns,
    }
    ids = {"span_id": list(task.task_span_id), "parent_span_id": list(task.parent_span_id)}
    whole = {**common, **ids, "code": SpanOperation.TASK_EXECUTE}
    sequence = {
        **common,
        "code": SpanOperation.SEQUENCE_RUN,
        "span_id": list(task.sequence_span_id),
        "parent_span_id": list(task.task_span_id),
        "sequence_name": slot.program.sequence_name,
    }
    actions = [
        {
            **sequence,
            "code": SpanOperation.ACTION_EXECUTE,
            "span_id": list(strand.action_span_id),
            "parent_span_id": list(task.sequence_span_id),
            "action_name": slot.op[strand.op].action_name,
            "step": strand.op,
            "start_ns": strand.action_start_ns,
        }
        for strand in strands
        # an action that has begun; a parallel block has no span of its own
        if strand.phase and slot.op[strand.op].kind != OpKind.PARALLEL
    ]
    return [*actions, sequence, whole]
