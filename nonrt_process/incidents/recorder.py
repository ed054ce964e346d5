"""The flight recorder: keeps the newest cycles, and freezes those around a late one into a file.

It reads the cycle ring as any consumer does and costs the cycle nothing. After a time away it goes
on where it was, with what the ring still holds; what it was in the middle of it does again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import numpy as np

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer
from nonrt_process.incidents import causes
from nonrt_process.incidents.kernel import Kernel
from shared import incident_file
from shared.anchors import Anchors
from shared.entries import entry_names
from shared.enums import EventKind, RtState, SafeCause, name_of
from shared.inspector.export.recording import axis_names, make_recording
from shared.inspector.rows import Reading
from shared.layout import EVENT_DTYPE, Records
from shared.segment import Segment

BEFORE: Final = 200
AFTER: Final = 100
MOST_CYCLES: Final = 2000
MOST_EVENTS: Final = 2000
MOST_LISTED: Final = 50
"""Late cycles that are explained one by one; the others are counted."""
MOST_FILES: Final = 50
MOST_BYTES: Final = 32 << 20
QUIET_NS: Final = 5_000_000_000
"""Late cycles so soon after another are the same storm: counted in the metric, no file, unless no
file of this storm has one of their kind."""
STORM_NS: Final = 600_000_000_000
"""A storm that lasts has a file so often all the same; the 50 that are kept reach back 8 hours."""
STALE_NS: Final = 1_000_000_000
STEAL_KNOWN_NS: Final = 2_000_000_000

TRACE_ID: Final = "trace.id"
_BAD: Final = (int(RtState.SAFE_MODE), int(RtState.ERROR))


@dataclass
class _Open:
    """An incident that still collects cycles. left: how many."""

    why: str
    parts: list[Records]
    late: list[dict[str, Any]] = field(default_factory=list)
    late_count: int = 0
    missed: int = 0
    skipped: int = 0
    cycle: int = 0
    size: int = 0
    left: int = AFTER
    lost: int = 0
    states: list[str] = field(default_factory=list)
    kinds: int = 0
    since_ns: int = 0


class Recorder(Consumer):
    """See the module. written, folded, failures, lost: since the process started.

    cursor_user: as of when no incident was open: number of the next cycle record to be judged,
    _closed_ns, _next_state, _kinds, _file_ns.
    """

    name = "incidents"
    wants_cycles = True
    wants_events = True
    interval_s = 0.2
    # The longest incident, the cycles before it, and the batch in which it began.
    goes_back = MOST_CYCLES + BEFORE + Consumer.max_records

    def __init__(
        self,
        folder: Path,
        instance: str,
        log: logging.Logger,
        usage: Callable[[], bool],
        kernel: Kernel | None = None,
        *,
        most_files: int = MOST_FILES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        super().__init__()
        self._folder, self._instance, self._log = folder, instance, log
        self._usage, self._kernel = usage, kernel or Kernel()
        self._most_files, self._most_bytes = most_files, most_bytes
        self._segment: Segment | None = None
        self._open: _Open | None = None
        self._history: Records | None = None
        self._events: Records = np.empty(0, EVENT_DTYPE)
        self._lanes = np.empty(0, np.uint8)
        self._states: dict[int, str] = {}
        self._next_state = 0
        """First cycle whose state has no incident yet."""
        self._next = 0
        self._closed_ns = 0
        self._kinds = 0
        """Bits of causes.kinds that files of the storm explain."""
        self._file_ns = 0
        self._storm = 0
        self.written = self.folded = self.failures = self.lost = 0

    # ---- the rings ----

    def on_attach(self, segment: Segment) -> None:
        self._segment = segment
        self._history, self._open = None, None
        self._events, self._lanes = self._events[:0], self._lanes[:0]
        self._states.clear()
        words = self.cursor_user[:5]
        self._next, self._closed_ns, self._next_state, self._kinds, self._file_ns = words
        self._storm = 0

    def on_detach(self) -> None:
        self._close()
        self._settle()
        self._segment = None

    def _settle(self) -> None:
        if self._open is None:
            words = self._next, self._closed_ns, self._next_state, self._kinds, self._file_ns
            self.cursor_user[:5] = words

    def on_tick(self, now_ns: int) -> None:
        """An executive that does not run any more sends no cycle after the late one."""
        self._kernel.look()
        if self._open is not None and now_ns - self._open.since_ns > STALE_NS:
            self._close()
            self._settle()
        if self._storm and now_ns - self._closed_ns > QUIET_NS:
            self._log.warning(
                "A storm of late cycles is over: %d more after the last incident, without a file",
                self._storm,
            )
            self._storm = 0

    def on_batch(self, batch: Batch) -> None:
        if len(batch.events):
            self._events = np.concatenate([self._events, batch.events])[-MOST_EVENTS:].copy()
            self._lanes = np.concatenate([self._lanes, batch.lanes])[-MOST_EVENTS:].copy()
        self._take_states(batch.events)
        self._lose(batch.lost_cycles)
        cycles = batch.cycles
        known = int(np.count_nonzero(cycles["seq"] // np.uint64(2) <= np.uint64(self._next)))
        self._remember(cycles[:known])
        if len(cycles) > known:
            self._take_cycles(cycles[known:])
            self._next = int(cycles[-1]["seq"]) // 2
        self._settle()

    def _lose(self, count: int) -> None:
        if not count:
            return
        self.lost += count
        if self._open is not None:
            self._open.lost += count
            return
        self._history = None  # not what came before the next
        self._log.warning(
            "Flight recorder: %d cycles were overwritten before it read them (mxrc-nonrt was away "
            "or too slow); of a late one among them there is no file, only the count of misses",
            count,
        )

    def _take_states(self, events: Records) -> None:
        changes = events[events["kind"] == int(EventKind.STATE)]
        for event in changes[np.isin(changes["args"][:, 1], _BAD)]:
            if int(event["cycle"]) >= self._next_state:
                self._states[int(event["cycle"])] = what_was_entered(event)
        newest = self._history
        if newest is None or not len(newest):
            return
        passed = [cycle for cycle in self._states if cycle <= int(newest[-1]["cycle"])]
        for cycle in passed:  # the event came after its cycle had been taken
            self._begin(self._take_state(cycle) or "", cycle)

    def _take_state(self, cycle: int) -> str | None:
        state = self._states.pop(cycle, None)
        if state is not None:
            self._next_state = max(self._next_state, cycle + 1)
        return state

    def _take_cycles(self, cycles: Records) -> None:
        entered = np.isin(cycles["cycle"], list(self._states)) if self._states else False
        trigger = causes.is_late(cycles["flags"]) | entered
        before_end = np.concatenate([_end_ns(self._last_cycle()), cycles["end_ns"]])
        at = 0
        while at < len(cycles):
            if self._open is None:
                found = at + np.flatnonzero(trigger[at:])
                found = found[self._fold(cycles[found], before_end[found]) :]
                end = int(found[0]) if len(found) else len(cycles)
                self._remember(cycles[at:end])
                if end == len(cycles):
                    return
                at = end
                cycle = int(cycles[at]["cycle"])
                self._begin(self._take_state(cycle) or "late cycle", cycle)
            at += self._collect(cycles[at:], trigger[at:])

    def _fold(self, found: Records, before_end: Any) -> int:
        """How many of them, from the first on, are of the storm that goes on, without a file.

        A cycle that entered SAFE_MODE or ERROR never is, nor one of a kind that no file explains.
        """
        if not self._closed_ns or not len(found):
            return 0
        wake = found["wake_ns"].astype(np.int64)
        quiet = np.diff(wake, prepend=np.int64(self._closed_ns)) >= QUIET_NS
        entered = np.isin(found["cycle"], list(self._states))
        new = (self._kinds_of(found, before_end) & ~np.uint64(self._kinds)) != 0
        due = wake - self._file_ns >= STORM_NS
        ends = np.flatnonzero(quiet | entered | new | due)
        count = int(ends[0]) if len(ends) else len(found)
        if count < len(found) and quiet[count]:
            self._kinds = 0  # another storm
        if count:
            self.folded += count
            self._storm += count
            self._closed_ns = int(wake[count - 1])  # the storm goes on
        return count

    def _kinds_of(self, late: Records, before_end: Any) -> Any:
        assert self._segment is not None
        status, header = self._segment.rt_status, self._segment.header
        return causes.kinds(late, before_end, int(status.deadline_ns), int(header.period_ns))

    def _last_cycle(self) -> Any | None:
        """The one before those that are looked at now."""
        return None if self._history is None or not len(self._history) else self._history[-1]

    def _remember(self, cycles: Records) -> None:
        if not len(cycles):
            return
        kept = cycles if self._history is None else np.concatenate([self._history, cycles])
        self._history = kept[-BEFORE:].copy()

    # ---- an incident ----

    def _begin(self, why: str, cycle: int) -> None:
        if self._open is None:
            parts = [] if self._history is None else [self._history]
            self._open = _Open(why, parts, cycle=cycle)
        elif why not in self._open.states:
            self._open.states.append(why)
        self._open.left = AFTER
        self._open.since_ns = self._kernel.now_ns()

    def _collect(self, cycles: Records, trigger: Any) -> int:
        """Takes cycles into the open incident; returns how many."""
        incident = self._open
        assert incident is not None
        room = MOST_CYCLES - incident.size
        part = cycles[: min(incident.left, room)]
        late = np.flatnonzero(trigger[: len(part)])
        before = self._last_cycle()
        first = (part["flags"] & causes.FIRST) != 0
        incident.skipped += int(part["skipped"][~first].sum())
        for index in late.tolist():
            self._explain(incident, part, index, before)
        incident.parts.append(part.copy())
        incident.size += len(part)
        incident.left -= len(part)
        if len(late):
            incident.left = AFTER - (len(part) - 1 - int(late[-1]))
        incident.since_ns = self._kernel.now_ns()
        self._remember(part)
        if incident.left <= 0 or incident.size >= MOST_CYCLES:
            self._close()
        return len(part)

    def _explain(self, incident: _Open, part: Records, index: int, before: Any | None) -> None:
        record = part[index]
        state = self._take_state(int(record["cycle"]))
        if state is not None and state not in (incident.why, *incident.states):
            incident.states.append(state)
        if not causes.is_late(int(record["flags"])):
            return
        incident.late_count += 1
        if len(incident.late) >= MOST_LISTED or self._segment is None:
            return
        before = part[index - 1] if index else before
        kinds = int(self._kinds_of(part[index : index + 1], _end_ns(before))[0])
        if not kinds and incident.late:
            incident.late[-1]["held_up"] += 1
            return
        at = causes.Circumstances(
            deadline_ns=int(self._segment.rt_status.deadline_ns),
            period_ns=int(self._segment.header.period_ns),
            names=entry_names(self._segment),
            throttle_pause_ns=self._kernel.throttle_pause_ns(),
            stolen_ns=self._stolen_ns(int(record["wake_ns"])),
            usage=self._usage(),
        )
        incident.kinds |= kinds
        incident.late.append(causes.explain(record, before, at) | {"held_up": 0})

    def _stolen_ns(self, wake_ns: int) -> int:
        """What the kernel says is of now, and says nothing about a cycle of long ago."""
        recent = self._kernel.now_ns() - wake_ns < STEAL_KNOWN_NS
        return self._kernel.stolen_ns() if recent else 0

    def _close(self) -> None:
        incident, self._open = self._open, None
        if incident is None or self._segment is None or not incident.parts:
            return
        records = np.concatenate(incident.parts)
        self._closed_ns = self._file_ns = int(records[-1]["wake_ns"])
        self._kinds |= incident.kinds
        try:
            head = self._write(incident, records, self._segment)
        except OSError as error:
            self.failures += 1
            self._log.error("Incident not written to %s: %s", self._folder, error)
            return
        self.written += 1
        self._storm = 0
        first = head["late"][0] if head["late"] else None
        self._log.error(
            "Incident %s: %s; see `mxrc shm incidents show %s`",
            head["id"],
            summary(head["why"], first, head["late_count"]),
            head["id"],
            extra={TRACE_ID: head["trace_ids"][0]} if head["trace_ids"] else None,
        )

    def _write(self, incident: _Open, records: Records, segment: Segment) -> dict[str, Any]:
        reading, anchors = Reading(segment), Anchors(segment)
        around = records[records["cycle"] == incident.cycle]
        moment = around if len(around) else records[-1:]
        wall_ns = int(anchors.realtime_array(moment["wake_ns"])[0])
        stamp = datetime.fromtimestamp(wall_ns // 10**9, timezone.utc).strftime("%Y%m%dT%H%M%S")
        traced = records[records["cycle"] >= incident.cycle]
        traces = [one.tobytes().hex() for one in traced["trace_id"] if one.any()]
        head = {
            "id": f"{stamp}-{int(moment[0]['cycle'])}",
            "instance": self._instance,
            "generation": segment.generation,
            "time": reading.time(int(moment[0]["wake_ns"])),
            "why": incident.why,
            "then": incident.states,
            "cycle": incident.cycle,
            "period_us": int(segment.header.period_ns) / 1e3,
            "deadline_us": int(segment.rt_status.deadline_ns) / 1e3,
            "axes": list(axis_names(segment)),
            "late": incident.late,
            "late_count": incident.late_count,
            "skipped": incident.skipped,
            "lost": incident.lost,
            "folded_before": self._storm,
            "usage": self._usage(),
            "trace_ids": list(dict.fromkeys(traces))[:8],
        }
        since = int(records[0]["scheduled_ns"])
        chosen = self._events["time_ns"] >= np.uint64(since)
        recording = make_recording(
            self._instance,
            segment,
            records,
            self._events[chosen],
            self._lanes[chosen],
            incident.lost,
        )
        incident_file.write(self._folder, head, recording)
        incident_file.prune(self._folder, self._instance, self._most_files, self._most_bytes)
        return head


def what_was_entered(event: Any) -> str:
    """The state that an event STATE_CHANGED says was entered, with the cause of a SAFE_MODE."""
    state, cause = (int(event["args"][index]) for index in (1, 3))
    name = name_of(RtState, state)
    if state != RtState.SAFE_MODE or cause == SafeCause.NONE:
        return name
    return f"{name} ({name_of(SafeCause, cause)})"


def _end_ns(cycle: Any | None) -> Any:
    """As an array of one; 0: unknown."""
    return np.array([0 if cycle is None else cycle["end_ns"]], np.uint64)


def summary(why: str, first: dict[str, Any] | None, late_count: int) -> str:
    """In a few words."""
    if first is None:
        return f"entered {why}"
    text = " and ".join(first["causes"])
    if first["entry"]:
        text += f" in {first['entry']} ({first['entry_us']:.0f} us)"
    begin = "" if why == "late cycle" else f"entered {why}; "
    cycles = "1 late cycle," if late_count == 1 else f"{late_count} late cycles, the first"
    return f"{begin}{cycles} {first['late_us']:.0f} us: {text}"
