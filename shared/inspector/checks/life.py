"""Heartbeats, lease, mutex, cursors, and the lock file."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.core import lib, now_ns, to_text
from shared.enums import RegionId, RtState
from shared.inspector.checks.finding import BAD, GOOD, NOTE, Finding, Verdict
from shared.inspector.processes import (
    ProcessStatus,
    mutex_owner,
    processes,
    this_boot,
    thread_alive,
)
from shared.ring import RingReader
from shared.segment import Segment

FUTURE_NS: Final = 1_000_000_000
_FLOCK: Final = "hhqqi4x"
"""struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid."""


def check_life(segment: Segment, demand_alive: bool) -> Iterator[Finding]:
    """Findings on processes, lease and cursors; demand_alive: a dead process is "bad"."""
    found = processes(segment)
    for one in found:
        yield _heartbeat(one, demand_alive)
    if demand_alive and not any(one.role == "PRIMARY" for one in found):
        yield Finding("lease", "PRIMARY", BAD, "there is none")
    yield from _lease(segment, found)
    yield from _status(segment)
    yield from _cursors(segment)


def _heartbeat(one: ProcessStatus, demand_alive: bool) -> Finding:
    place = f"{one.name} pid {one.pid}"
    age = "never" if one.age_ms is None else f"{one.age_ms:.1f} ms ago"
    remark = f"; {one.remark}" if one.remark else ""
    if one.age_ms is not None and one.age_ms * 1e6 < -FUTURE_NS:
        return Finding(place, "heartbeat", BAD, f"lies {-one.age_ms / 1e3:.1f} s in the future")
    if one.condition == "alive":
        return Finding(place, "heartbeat", GOOD, f"{age}{remark}")
    if one.condition == "silent":
        return Finding(place, "heartbeat", BAD, f"lives, but beat {age}{remark}")
    verdict: Verdict = BAD if demand_alive else NOTE
    return Finding(place, "heartbeat", verdict, f"{one.condition}, beat {age}{remark}")


def _lease(segment: Segment, found: list[ProcessStatus]) -> Iterator[Finding]:
    lease = segment.lease
    epoch, admitted = segment.epoch(), int(lease.admitted_epoch)
    if int(lease.owner) == 0:
        yield Finding("lease.owner", "owner", NOTE, "no PRIMARY yet")
        return
    primary = segment.primary()
    if primary is None:
        text = f"0x{int(lease.owner):x} names a member that there is not"
        yield Finding("lease.owner", "owner", BAD, text)
        return
    yield Finding("lease.owner", "owner", GOOD, f"member {primary}, epoch {epoch}")
    good = 0 < admitted <= epoch
    yield Finding(
        "lease.admitted_epoch",
        "epoch",
        GOOD if good else BAD,
        f"{admitted}, the owner's is {epoch}",
    )
    period = int(segment.header.period_ns)
    if int(lease.period_ns) != period:
        text = f"{int(lease.period_ns)} ns, the header says {period} ns"
        yield Finding("lease.period_ns", "time grid", BAD, text)
    if this_boot(segment) and int(lease.grid_origin_ns) > now_ns() + FUTURE_NS:
        yield Finding("lease.grid_origin_ns", "time grid", BAD, "lies in the future")
    yield _mutex(segment, found)


def _mutex(segment: Segment, found: list[ProcessStatus]) -> Finding:
    tid, marked = mutex_owner(segment)
    owner = next((one for one in found if one.role == "PRIMARY"), None)
    lives = owner is not None and owner.condition in ("alive", "silent")
    if marked:
        text = f"its owner, thread {tid}, died holding it" if tid else "its owner died holding it"
        return Finding("lease.mutex", "lock", BAD if lives else NOTE, text)
    if not lives:
        text = f"names thread {tid}" if tid else "free"
        return Finding("lease.mutex", "lock", NOTE if tid else GOOD, f"{text}, no PRIMARY lives")
    if owner is not None and tid == owner.tid:
        return Finding("lease.mutex", "lock", GOOD, f"held by the PRIMARY's RT thread {tid}")
    who = f"held by thread {tid}{'' if thread_alive(tid) else ' that is gone'}" if tid else "free"
    text = f"{who}, the PRIMARY's RT thread is {owner.tid if owner else 0}"
    return Finding("lease.mutex", "lock", BAD, text)


def _status(segment: Segment) -> Iterator[Finding]:
    status = segment.rt_status
    if int(status.state) > max(RtState):
        yield Finding("rt_status.state", "state", BAD, f"{int(status.state)}")
    if int(status.epoch) > segment.epoch():
        text = f"{int(status.epoch)}, the lease has {segment.epoch()}"
        yield Finding("rt_status.epoch", "epoch", BAD, text)
    if int(status.active_tasks) > lib.MXRC_TASKS:
        yield Finding("rt_status.active_tasks", "count", BAD, f"{int(status.active_tasks)}")


def _cursors(segment: Segment) -> Iterator[Finding]:
    cycles = RingReader(segment, RegionId.CYCLE_RING)
    lanes = {lane: RingReader(segment, RegionId.LANE + lane) for lane in segment.lanes()}
    bad = count = 0
    for at in range(int(lib.MXRC_CONSUMERS)):
        cursor = segment.cursors.cursor[at]
        name = to_text(cursor.name, 24)
        if not name:
            continue
        count += 1
        place = f"cursors.cursor[{at}] ({name})"
        # Cursor before head: a consumer at work can then not seem to be ahead of the writer.
        ahead = [("cycle", int(cursor.cycle), cycles.head)]
        ahead += [
            (f"lane[{lane}]", int(cursor.lane[lane]), reader.head) for lane, reader in lanes.items()
        ]
        for field, position, head in ahead:
            if position > head:
                bad += 1
                text = f"{position} is beyond the head {head}"
                yield Finding(f"{place}.{field}", "cursor", BAD, text)
        lost = int(cursor.lost_cycles) + int(cursor.lost_events)
        if lost:
            text = f"{int(cursor.lost_cycles)} cycles, {int(cursor.lost_events)} events"
            yield Finding(place, "records lost", NOTE, text)
    if not bad:
        yield Finding("cursors", "cursors", GOOD, f"{count} consumers")


def check_lock(path: Path | None) -> Iterator[Finding]:
    """The instance lock: asked, never taken. Held only while a generation is made or removed."""
    if path is None:
        return
    place = f"lock file {path}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        text = "does not exist: the instance runs with another run_dir, or it was removed"
        if error.errno != errno.ENOENT:
            text = f"cannot be opened: {error.strerror}"
        yield Finding(place, "lock", NOTE, text)
        return
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
        held = struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK
        pid = os.pread(descriptor, 16, 0).split(b"\n")[0].strip().decode("ascii", "replace")
    except OSError as error:
        yield Finding(place, "lock", NOTE, f"cannot be asked: {error.strerror}")
        return
    finally:
        os.close(descriptor)
    if held:
        text = f"held by process {pid}: a generation is being made or removed"
        yield Finding(place, "lock", NOTE, text)
    else:
        yield Finding(place, "lock", GOOD, "free")
