"""The processes of a segment: who is attached, who is dead, when each was last heard of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.boot_id import boot_id
from shared.core import now_ns
from shared.enums import Role, RtState, SegmentState, name_of
from shared.segment import Segment, process_alive

SILENT_MS: Final = 500.0
"""An RT thread or a Non-RT heart that has not beaten for so long does not work."""
FORMER: Final = "FORMER PRIMARY"
_STATES: Final = {"T": "stopped by a signal", "t": "stopped by a debugger", "Z": "zombie"}


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process of the segment.

    role: PRIMARY, FORMER PRIMARY, STANDBY, NONE or NON_RT. condition: "alive", "silent" (its
    process lives, its heartbeat does not), "dead", "stopped" (left in order). heartbeat_ns: of
    CLOCK_MONOTONIC, 0: never. age_ms: of the heartbeat; null for another boot. remark: what is
    known beyond that.
    """

    name: str
    role: str
    pid: int
    tid: int
    condition: str
    heartbeat_ns: int
    age_ms: float | None
    remark: str = ""

    @property
    def died(self) -> bool:
        return self.condition == "dead"


def this_boot(segment: Segment) -> bool:
    """Whether pids and CLOCK_MONOTONIC of the segment mean anything now."""
    return bytes(segment.header.boot_id).hex() == boot_id()


def processes(segment: Segment) -> list[ProcessStatus]:
    """Every process that the segment knows of, the PRIMARY first."""
    now = now_ns() if this_boot(segment) else None
    primary = segment.primary()
    found = [_member(segment, index, index == primary, now) for index in range(segment.max_members)]
    found.sort(key=lambda one: one.role != "PRIMARY" if one else True)
    nonrt = _nonrt(segment, now)
    return [one for one in [*found, nonrt] if one is not None]


def _member(
    segment: Segment, index: int, is_primary: bool, now: int | None
) -> ProcessStatus | None:
    member, status = segment.member_struct(index), segment.rt_status
    pid, tid, heartbeat = int(member.pid), int(member.tid), int(member.heartbeat_ns)
    role = name_of(Role, int(member.role))
    name = f"rt_process (member {index})"
    if is_primary and pid == 0 and int(status.pid):
        # It gave up its place itself; what it did last is in rt_status.
        ended = int(status.state) == RtState.SHUTDOWN or (
            int(segment.header.state) == SegmentState.RETIRED
        )
        return ProcessStatus(
            name,
            "PRIMARY",
            int(status.pid),
            int(status.tid),
            "stopped" if ended else "dead",
            int(status.heartbeat_ns),
            _age(now, int(status.heartbeat_ns)),
            "" if ended else "it gave up its place without STOP: it failed, see its log",
        )
    if pid == 0:
        return None
    if is_primary:
        heartbeat = max(heartbeat, int(status.heartbeat_ns))
    alive = now is not None and process_alive(pid, int(member.process_start))
    condition, remark = _condition(alive, pid, heartbeat, now)
    main = int(member.main_heartbeat_ns)
    if condition == "silent" and now is not None and now - main < SILENT_MS * 4e6:
        remark = _joined(remark, "its main thread still beats")
    if is_primary:
        role = "PRIMARY"
    elif role == "PRIMARY":
        role = FORMER  # its successor has the lease; the place is as it left it
    return ProcessStatus(name, role, pid, tid, condition, heartbeat, _age(now, heartbeat), remark)


def _nonrt(segment: Segment, now: int | None) -> ProcessStatus | None:
    nonrt = segment.nonrt_status
    pid, heartbeat = int(nonrt.pid), int(nonrt.heartbeat_ns)
    if pid == 0 and heartbeat == 0:
        return None
    if pid == 0:
        return ProcessStatus(
            "nonrt_process", "NON_RT", 0, 0, "stopped", heartbeat, _age(now, heartbeat)
        )
    alive = now is not None and process_alive(pid, int(nonrt.process_start))
    condition, remark = _condition(alive, pid, heartbeat, now)
    return ProcessStatus(
        "nonrt_process", "NON_RT", pid, pid, condition, heartbeat, _age(now, heartbeat), remark
    )


def _condition(alive: bool, pid: int, heartbeat: int, now: int | None) -> tuple[str, str]:
    if not alive:
        return "dead", "" if now is not None else "of an earlier boot"
    remark = _STATES.get(process_state(pid), "")
    age = _age(now, heartbeat)
    if age is None or age > SILENT_MS:
        return "silent", remark
    return "alive", remark


def process_state(pid: int) -> str:
    """Letter of /proc/PID/stat: R, S, D, T, t, Z; "" for none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]


def thread_alive(tid: int) -> bool:
    """Whether a thread of that id runs."""
    return tid > 0 and Path(f"/proc/{tid}").exists()


def _age(now: int | None, then: int) -> float | None:
    return None if now is None or not then else (now - then) / 1e6


def _joined(first: str, second: str) -> str:
    return f"{first}; {second}" if first else second


def mutex_owner(segment: Segment) -> tuple[int, bool]:
    """Thread id in the lease's robust mutex, and whether the kernel marked its owner as dead.

    The lock word of a robust mutex is a futex word as the kernel defines it for robust lists
    (FUTEX_TID_MASK, FUTEX_OWNER_DIED in linux/futex.h); glibc keeps it first in pthread_mutex_t.
    """
    word = int.from_bytes(bytes(segment.lease.mutex)[:4], "little")
    return word & 0x3FFFFFFF, bool(word & 0x40000000)
