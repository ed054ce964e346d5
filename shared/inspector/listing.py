"""The instances of this machine, a row each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shared.core import MxrcError
from shared.enums import RtState, SegmentState, name_of
from shared.inspector.guarded import read_guarded
from shared.inspector.objects import SegmentObject, examine, find_objects
from shared.inspector.postmortem import deaths, duration
from shared.inspector.processes import processes
from shared.inspector.rows import rfc3339
from shared.segment import Segment
from shared.segment_errors import SegmentAbsent


@dataclass(frozen=True, slots=True)
class ListedProcess:
    """A process of an instance; condition: alive, silent, dead, stopped."""

    name: str
    role: str
    pid: int
    condition: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in /dev/shm.

    state: "alive" (an RT process of it lives), "dead" (kept for post-mortem reading), "stopped"
    (retired in order), "building", "other layout", "foreign", "corrupt", "draft", "unreadable".
    generation: its name once and for all, the realtime ns of its creation. starts: RT processes
    that became PRIMARY in it. boot: "this", "earlier" or "" where the header is not to be read.
    """

    instance: str
    state: str
    path: str
    bytes: int
    owner: str
    uid: int
    mode: str
    generation: int = 0
    created: str = ""
    boot: str = ""
    build: str = ""
    layout_hash: str = ""
    rt_state: str = ""
    epoch: int = 0
    starts: int = 0
    cycles: int = 0
    primary_pid: int | None = None
    standby_pids: tuple[int, ...] = ()
    nonrt_pid: int | None = None
    processes: tuple[ListedProcess, ...] = field(default=())
    note: str = ""


def list_instances() -> list[Listed]:
    """Everything in /dev/shm that is named as a segment, alive or not."""
    rows = (listed(found) for found in find_objects())
    return [row for row in rows if row is not None]


def listed(found: SegmentObject) -> Listed | None:
    """The row of an object; None when it is gone meanwhile."""
    common = {
        "instance": found.instance,
        "path": found.path,
        "bytes": found.bytes,
        "owner": found.owner,
        "uid": found.uid,
        "mode": found.mode,
    }
    header = found.header
    if header is None or found.kind == "foreign":
        return Listed(state=found.kind, note=found.problem, **common)  # type: ignore[arg-type]
    common |= {
        "generation": header.generation,
        "created": rfc3339(np.array([header.generation], np.uint64))[0][:19] + "Z",
        "boot": "this" if found.this_boot else "earlier",
        "build": header.build,
        "layout_hash": header.layout_hash,
    }
    attached = tuple(
        ListedProcess(
            f"rt_process (member {one.member})", "", one.pid, "alive" if one.alive else "dead"
        )
        for one in found.attached
    )
    if found.kind != "segment":
        text = found.problem + _living(found)
        return Listed(state=found.kind, note=text, processes=attached, **common)  # type: ignore[arg-type]
    try:
        with Segment.attach(found.instance) as segment:
            return read_guarded(segment, lambda whole: _whole(whole, found, common))
    except SegmentAbsent:
        return None
    except MxrcError as error:
        now = examine(Path(found.path))
        if now is None or now.inode != found.inode:  # removed, or replaced: another row, or none
            return None if now is None else listed(now)
        state = "building" if header.state == SegmentState.BUILDING.name else "corrupt"
        return Listed(state=state, note=str(error), processes=attached, **common)  # type: ignore[arg-type]


def _living(found: SegmentObject) -> str:
    pids = [str(one.pid) for one in found.attached if one.alive]
    return f"; in use by process {', '.join(pids)}" if pids else ""


def _whole(segment: Segment, found: SegmentObject, common: dict[str, object]) -> Listed:
    status = segment.rt_status
    all_of_it = processes(segment)
    living = [one for one in all_of_it if one.condition in ("alive", "silent")]
    rt_lives = any(one.role != "NON_RT" for one in living)
    primary = next((one.pid for one in living if one.role == "PRIMARY"), None)
    nonrt = next((one.pid for one in living if one.role == "NON_RT"), None)
    state = "alive" if rt_lives else "dead"
    if int(segment.header.state) == SegmentState.RETIRED:
        state = "stopped"
    return Listed(
        state=state,
        rt_state=name_of(RtState, int(status.state)),
        epoch=segment.epoch(),
        starts=int(segment.lease.start_count),
        cycles=int(status.cycles_run),
        primary_pid=primary,
        standby_pids=tuple(one.pid for one in living if one.role == "STANDBY"),
        nonrt_pid=nonrt,
        processes=tuple(
            ListedProcess(one.name, one.role, one.pid, one.condition) for one in all_of_it
        ),
        note="" if state == "stopped" else _note(segment, found),
        **common,  # type: ignore[arg-type]
    )


def _note(segment: Segment, found: SegmentObject) -> str:
    if not found.this_boot:
        return "of an earlier boot of this machine"
    parts = []
    for one in deaths(segment):
        ago = "" if one.ago_s is None else f" {duration(one.ago_s)} ago"
        parts.append(f"{one.role} pid {one.pid} died{ago}")
    parts += [
        f"{one.role} pid {one.pid} is silent{' (' + one.remark + ')' if one.remark else ''}"
        for one in processes(segment)
        if one.condition == "silent"
    ]
    return "; ".join(parts)
