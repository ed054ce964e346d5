"""Removing dead generations: the only thing in the inspector that changes anything.

Under the instance lock, so that nobody creates, replaces or retires the generation meanwhile, and
only when what was examined is still what has the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.core import ERROR_BYTES, MxrcError, error_buffer, lib, now_ns, to_text
from shared.enums import SegmentState
from shared.inspector.guarded import read_guarded
from shared.inspector.objects import SegmentObject, examine
from shared.inspector.processes import processes
from shared.segment import Segment

LOCK_WAIT_MS: Final = 2000
RECENT_NS: Final = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object: why it may be removed, or why it stays (`refusal`)."""

    instance: str
    path: str
    bytes: int
    generation: int
    reason: str
    refusal: str

    @property
    def removable(self) -> bool:
        return not self.refusal


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of a candidate."""

    instance: str
    path: str
    bytes: int
    generation: int
    removed: bool
    detail: str


class LockRefused(MxrcError):
    """The instance lock is not to be had; nothing was removed."""


def judge(found: SegmentObject) -> Candidate:
    """Whether an object is a dead generation. Only what is certainly dead may go."""
    reason, refusal = _judged(found)
    generation = found.header.generation if found.header is not None else 0
    return Candidate(found.instance, found.path, found.bytes, generation, reason, refusal)


def _judged(found: SegmentObject) -> tuple[str, str]:
    by_hand = f"remove {found.path} by hand if no mxrc process uses it"
    if found.kind in ("foreign", "unreadable"):
        return "", f"{found.problem}; it is not touched"
    if found.kind == "corrupt":
        return "", f"{found.problem}: who uses it cannot be told; {by_hand}"
    if found.kind == "draft":
        return "left by a creator that died", ""
    if not found.this_boot:
        return "of an earlier boot", ""
    alive = [str(one.pid) for one in found.attached if one.alive]
    if alive:
        return "", f"in use by RT process {', '.join(alive)}"
    if found.kind == "other layout":
        return "dead, of another layout", ""
    if found.header is not None and found.header.state == SegmentState.BUILDING.name:
        return "its creator died before it was published", ""
    return _judged_whole(found)


def _judged_whole(found: SegmentObject) -> tuple[str, str]:
    """Looks at the Non-RT process too, and at heartbeats: pids of a container mean nothing here."""
    try:
        with Segment.attach(found.instance) as segment:
            known = read_guarded(segment, processes)
    except MxrcError as error:
        return "", str(error)
    for one in known:
        if one.condition in ("alive", "silent"):
            return "", f"in use by {one.name} pid {one.pid}"
        if one.condition == "dead" and 0 < now_ns() - one.heartbeat_ns < RECENT_NS:
            return "", f"{one.name} pid {one.pid} beat within the last {RECENT_NS // 10**9} s"
    retired = found.header is not None and found.header.state == SegmentState.RETIRED.name
    return "stopped in order" if retired else "dead", ""


@contextmanager
def instance_lock(path: Path) -> Iterator[None]:
    """Holds the instance lock; the file must be there already.

    Raises:
        LockRefused: no such file, or somebody holds it.
    """
    if not path.exists():
        raise LockRefused(
            f"{path} does not exist: this instance was run with another run_dir; give its "
            "--config-dir or --run-dir, so that nobody starts it meanwhile"
        )
    error = error_buffer()
    descriptor = int(lib.mxrc_lock_file(bytes(path), LOCK_WAIT_MS, error, ERROR_BYTES))
    if descriptor < 0:
        raise LockRefused(to_text(error))
    try:
        yield
    finally:
        lib.mxrc_unlock_file(descriptor)


def remove(candidate: Candidate, lock: Path) -> Cleaned:
    """Remove a candidate if it is still the same object and still dead.

    Raises:
        LockRefused
    """

    def result(removed: bool, detail: str) -> Cleaned:
        return Cleaned(
            candidate.instance,
            candidate.path,
            candidate.bytes,
            candidate.generation,
            removed,
            detail,
        )

    with instance_lock(lock):
        path = Path(candidate.path)
        now = examine(path)
        if now is None:
            return result(False, "is gone already")
        again = judge(now)
        if not again.removable:
            return result(False, again.refusal)
        if again.generation != candidate.generation:
            return result(False, "is another generation by now: left alone")
        try:
            path.unlink()
        except OSError as error:
            return result(False, f"cannot be removed: {error.strerror}; it belongs to {now.owner}")
        return result(True, again.reason)
