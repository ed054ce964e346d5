"""Who died when, and in the middle of what: told from the segment that the dead left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from shared.core import now_ns, to_text
from shared.enums import EventKind, Level, RegionId
from shared.inspector.processes import FORMER, ProcessStatus, mutex_owner, processes, this_boot
from shared.inspector.records import read_cycles, read_events
from shared.inspector.rows import CycleRow, EventRow, Reading
from shared.layout import CYCLE_DTYPE, Records
from shared.ring import RingReader
from shared.segment import Segment
from shared.state_block import read_state

LAST_EVENTS: Final = 8


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended without leaving in order. It died at or after `last_sign`.

    how: what the segment proves about it. ago_s: null for another boot.
    """

    who: str
    role: str
    pid: int
    last_sign: str
    last_sign_ns: int
    ago_s: float | None
    how: str


@dataclass(frozen=True, slots=True)
class TaskUnderWay:
    """A task of the newest whole state block: a successor goes on with it."""

    task_id: str
    task: str
    sequence: str
    action: str
    step: int
    status: str
    action_elapsed_ms: float
    runs: int
    execution_id: int
    trace_id: str


@dataclass(frozen=True, slots=True)
class PostMortem:
    """What the dead left behind.

    headline: one sentence. last_cycle: of the dead PRIMARY, null when it is another that died.
    state: RT state of the newest whole state block, that of cycle state_cycle.
    misses_before: deadline misses in the last second before the end. unread: events that the log
    consumer had not taken yet. waiting_commands: accepted and not yet taken by RT.
    """

    headline: str
    deaths: tuple[Death, ...]
    state: str
    state_cycle: int
    epoch: int
    last_cycle: CycleRow | None
    unfinished_record: int | None
    misses_before: int
    tasks: tuple[TaskUnderWay, ...]
    waiting_commands: int
    unread: int
    last_events: tuple[EventRow, ...]


def deaths(segment: Segment, reading: Reading | None = None) -> list[Death]:
    """The dead of a segment, the PRIMARY first."""
    reading = reading or Reading(segment)
    return [_death(segment, reading, one) for one in processes(segment) if one.died]


def post_mortem(segment: Segment) -> PostMortem | None:
    """What there is to say about the dead; None when nobody died."""
    reading = Reading(segment)
    dead = deaths(segment, reading)
    if not dead:
        return None
    cycles = _last_cycles(segment, dead[0])
    last = reading.cycles(cycles[-1:])
    state = read_state(segment) or {}
    tasks = tuple(_task(task) for task in state.get("tasks", ()))
    events = read_events(segment)
    told = _worth_telling(events.records)
    executive = state.get("executive", {})
    return PostMortem(
        headline=_headline(dead[0], last, tasks),
        deaths=tuple(dead),
        state=str(executive.get("state", "unknown")),
        state_cycle=int(state.get("cycle", 0)),
        epoch=segment.epoch(),
        last_cycle=last[0] if last else None,
        unfinished_record=unfinished_record(segment),
        misses_before=int(np.count_nonzero(cycles["flags"] & 1) + cycles["skipped"].sum()),
        tasks=tasks,
        waiting_commands=waiting_commands(segment),
        unread=unread_events(segment),
        last_events=tuple(reading.events(events.records[told], events.lanes[told])),
    )


def _worth_telling(records: Records) -> Any:
    """Indices of the last log lines of level info and above; spans and replies only fill pages."""
    told = (records["message_id"] != 0) & (records["level"] >= int(Level.INFO))
    told &= records["kind"] != int(EventKind.SPAN)
    return np.flatnonzero(told)[-LAST_EVENTS:]


def _death(segment: Segment, reading: Reading, process: ProcessStatus) -> Death:
    sign = process.heartbeat_ns
    if process.role == "PRIMARY":
        newest = read_cycles(segment, 1).records
        if len(newest):
            sign = max(sign, int(newest[-1]["end_ns"]))
    ago = (now_ns() - sign) / 1e9 if sign and this_boot(segment) else None
    return Death(
        who=process.name,
        role=process.role,
        pid=process.pid,
        last_sign=reading.time(sign) if sign else "",
        last_sign_ns=sign,
        ago_s=ago,
        how=_how(segment, process),
    )


def _how(segment: Segment, process: ProcessStatus) -> str:
    if process.remark:
        return process.remark
    if process.role != "PRIMARY":
        return "ended without leaving in order"
    tid, marked = mutex_owner(segment)
    if marked:
        return "the kernel marked its lease mutex: its RT thread died holding it"
    if tid:
        return f"the lease mutex still names its RT thread {tid}"
    return "its RT thread had let go of the lease"


def _last_cycles(segment: Segment, death: Death) -> Records:
    """The cycles of the last second of the dead: none of a process that runs no cycles."""
    if death.role == FORMER:
        records = read_cycles(segment).records
        records = records[records["epoch"] < segment.epoch()]
    elif death.role == "PRIMARY":
        records = read_cycles(segment, _last_second(segment)).records
    else:
        return np.empty(0, CYCLE_DTYPE)
    return records[-_last_second(segment) :]


def _headline(death: Death, last: list[CycleRow], tasks: tuple[TaskUnderWay, ...]) -> str:
    ago = "" if death.ago_s is None else f" ({duration(death.ago_s)} ago)"
    when = f" at {death.last_sign[:23]}Z{ago}" if death.last_sign else ""
    text = f"{death.role} {death.who}, pid {death.pid}, died{when}"
    if death.role not in ("PRIMARY", FORMER):
        return text
    if not last:
        return f"{text}; no cycle of it is left in the ring"
    row = last[0]
    text += f" after cycle {row.cycle} in state {row.state}"
    if death.role == FORMER:
        work = f"{row.task} step {row.step} {row.action}".strip() if row.task else ""
        return f"{text}; under way: {work or 'no task'}; another process took over"
    work = ", ".join(f"{one.task_id} step {one.step} {one.action}".strip() for one in tasks)
    return f"{text}; under way: {work or 'no task'}"
    return text


def duration(seconds: float) -> str:
    """A span of time as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _task(task: dict[str, Any]) -> TaskUnderWay:
    return TaskUnderWay(
        task_id=task["task_id"],
        task=task["task"],
        sequence=task["sequence"],
        action=task["action"],
        step=task["step"],
        status=task["status"],
        action_elapsed_ms=task["action_elapsed_ns"] / 1e6,
        runs=task["runs"],
        execution_id=task["execution_id"],
        trace_id=task["trace_id"],
    )


def _last_second(segment: Segment) -> int:
    return max(1, round(1e9 / max(1, int(segment.header.period_ns))))


def unfinished_record(segment: Segment) -> int | None:
    """Number of the cycle record that its writer died in; None when there is none."""
    reader = RingReader(segment, RegionId.CYCLE_RING)
    head = reader.head
    slots = segment.pointer(RegionId.CYCLE_RING, "uint8_t *")
    at = 256 + (head % reader.capacity) * 256
    word = int.from_bytes(bytes(slots[at : at + 8]), "little")
    return head if word == 2 * head + 1 else None


def waiting_commands(segment: Segment) -> int:
    """Commands sent and not yet taken by RT."""
    head = RingReader(segment, RegionId.COMMANDS).head
    return max(0, head - int(segment.rt_status.command_tail))


def unread_events(segment: Segment) -> int:
    """Events in the lanes that the consumer `logs` has not taken; all when there is none."""
    heads = {lane: RingReader(segment, RegionId.LANE + lane).head for lane in segment.lanes()}
    for index in range(16):
        cursor = segment.cursors.cursor[index]
        if to_text(cursor.name, 24) == "logs":
            return sum(max(0, head - int(cursor.lane[lane])) for lane, head in heads.items())
    return sum(heads.values())
