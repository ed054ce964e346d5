"""The flight recorder: keeps the newest cycles, and freezes those around a late one into a file.

It reads the cycle ring as any consumer does and costs the cycle nothing.
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
from shared.enums import EventKind, RtState, name_of
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
"""Late cycles so soon after an incident are the same storm: counted in the metric, no file."""
STALE_NS: Final = 1_000_000_000

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
    since_ns: int = 0


class Recorder(Consumer):
    """See the module. written, folded, failures: since the process started."""

    name = "incidents"
    wants_cycles = True
    wants_events = True
    goes_on = False
    interval_s = 0.2

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
        self._closed_ns = 0
        self._number = 0
        self.written = self.folded = self.failures = 0

    # ---- the rings ----

    def on_attach(self, segment: Segment) -> None:
        self._segment = segment
        self._history, self._open = None, None
        self._events, self._lanes = self._events[:0], self._lanes[:0]
        self._states.clear()

    def on_detach(self) -> None:
        self._close()
        self._segment = None

    def on_tick(self, now_ns: int) -> None:
        """An executive that does not run any more sends no cycle after the late one."""
        self._kernel.look()
        if self._open is not None and now_ns - self._open.since_ns > STALE_NS:
            self._close()

    def on_batch(self, batch: Batch) -> None:
        if len(batch.events):
            self._events = np.concatenate([self._events, batch.events])[-MOST_EVENTS:].copy()
            self._lanes = np.concatenate([self._lanes, batch.lanes])[-MOST_EVENTS:].copy()
        self._take_states(batch.events)
        if self._open is not None:
            self._open.lost += batch.lost_cycles
        cycles = batch.cycles
        if len(cycles):
            self._take_cycles(cycles)

    def _take_states(self, events: Records) -> None:
        changes = events[events["kind"] == int(EventKind.STATE)]
        for event in changes[np.isin(changes["args"][:, 1], _BAD)]:
            self._states[int(event["cycle"])] = name_of(RtState, int(event["args"][1]))
        newest = self._history
        if newest is None or not len(newest):
            return
        passed = [cycle for cycle in self._states if cycle <= int(newest[-1]["cycle"])]
        for cycle in passed:  # the event came after its cycle had been taken
            self._begin(self._states.pop(cycle), cycle)

    def _take_cycles(self, cycles: Records) -> None:
        entered = np.isin(cycles["cycle"], list(self._states)) if self._states else False
        trigger = ((cycles["flags"] & causes.LATE) != 0) | entered
        at = 0
        while at < len(cycles):
            if self._open is None:
                found = np.flatnonzero(trigger[at:])
                end = at + int(found[0]) if len(found) else len(cycles)
                self._remember(cycles[at:end])
                if end == len(cycles):
                    return
                at = end
                if self._folds(cycles[at]):
                    self._remember(cycles[at : at + 1])
                    at += 1
                    continue
                why = self._states.pop(int(cycles[at]["cycle"]), "late cycle")
                self._begin(why, int(cycles[at]["cycle"]))
            at += self._collect(cycles[at:], trigger[at:])

    def _folds(self, record: Any) -> bool:
        if int(record["cycle"]) in self._states or not self._closed_ns:
            return False
        if int(record["wake_ns"]) - self._closed_ns >= QUIET_NS:
            return False
        self.folded += 1
        self._closed_ns = int(record["wake_ns"])  # the storm goes on
        return True

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
        before = None if self._history is None or not len(self._history) else self._history[-1]
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
        state = self._states.pop(int(record["cycle"]), None)
        if state is not None and state not in (incident.why, *incident.states):
            incident.states.append(state)
        if not causes.is_late(int(record["flags"])):
            return
        incident.late_count += 1
        if len(incident.late) >= MOST_LISTED or self._segment is None:
            return
        at = causes.Circumstances(
            deadline_ns=int(self._segment.rt_status.deadline_ns),
            period_ns=int(self._segment.header.period_ns),
            names=entry_names(self._segment),
            throttle_pause_ns=self._kernel.throttle_pause_ns(),
            stolen_ns=self._kernel.stolen_ns(),
            usage=self._usage(),
        )
        before = part[index - 1] if index else before
        incident.late.append(causes.explain(record, before, at))

    def _close(self) -> None:
        incident, self._open = self._open, None
        if incident is None or self._segment is None or not incident.parts:
            return
        records = np.concatenate(incident.parts)
        self._closed_ns = int(records[-1]["wake_ns"])
        try:
            head = self._write(incident, records, self._segment)
        except OSError as error:
            self.failures += 1
            self._log.error("Incident not written to %s: %s", self._folder, error)
            return
        self.written += 1
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
        self._number += 1
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
