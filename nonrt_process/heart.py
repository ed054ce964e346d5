"""The heartbeat, and the attachment to the segment.

The first thing that runs and the last that ends. It imports neither numpy nor pydantic, so that it
beats while the rest of the process is still being imported, and does nothing that could take
long: RT enters SAFE_MODE when the beat stops.

Two steps: from the start it beats for a segment that has no living Non-RT process; `claim`, once
the configuration is valid and the lock of the instance is held, enters this process's identity.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Final

from nonrt_process.context import AttachProblem
from nonrt_process.quiet import Quiet
from shared.clock import Clock
from shared.core import MxrcError, lib
from shared.enums import Access, SegmentState
from shared.segment import (
    Segment,
    SegmentAbsent,
    SegmentBuilding,
    SegmentBusy,
    SegmentLayoutMismatch,
)

BEAT_S: Final = 0.02
LOOK_NS: Final = 100_000_000
PATIENCE_NS: Final = 2_000_000_000
"""Started together with RT it finds no segment for a moment: not worth a line."""


class SegmentHeart:
    """Beats every 20 ms, and attaches again whenever the generation is replaced."""

    def __init__(self, instance: str, clock: Clock, log: logging.Logger) -> None:
        self.instance: Final = instance
        self._clock = clock
        self._log = log
        self._quiet = Quiet(log, clock)
        self._segment: Segment | None = None
        self._problem: AttachProblem | None = AttachProblem("absent", "not looked for yet")
        self._said = ""
        self._stopped_in_order = False
        self._claimed = False
        self._ready = False
        self._next_look_ns = 0
        self._last_beat_ns = 0
        self._started_ns = clock.monotonic_ns()
        self._turning = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
        self.killed_before: int | None = None
        """Pid of the process before this one, where it did not end in order."""

    @property
    def segment(self) -> Segment | None:
        return self._segment

    @property
    def problem(self) -> AttachProblem | None:
        return self._problem

    @property
    def last_beat_ns(self) -> int:
        return self._last_beat_ns

    @property
    def started_ns(self) -> int:
        return self._started_ns

    def start(self) -> None:
        """Attach if there is a segment, then beat in a thread."""
        self.turn()
        self._thread.start()

    def claim(self) -> None:
        """From now on this is the instance's Non-RT process; the lock of the instance is held."""
        with self._turning:
            self._claimed = True
            if self._segment is not None:
                self._enter(self._segment)

    def set_ready(self, ready: bool) -> None:
        """Say in the segment whether every part of the process runs."""
        with self._turning:
            self._ready = ready
            if self._segment is not None and self._claimed:
                self._segment.nonrt_status.ready = int(ready)

    def stop(self) -> None:
        """The last beat; the segment is let go of."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)
        with self._turning:
            if self._segment is not None and self._claimed:
                status = self._segment.nonrt_status
                status.ready = 0
                status.pid = 0
            self._segment = None

    def turn(self) -> None:
        """One beat. Never raises."""
        with self._turning:
            now = self._clock.monotonic_ns()
            try:
                if now >= self._next_look_ns:
                    self._next_look_ns = now + LOOK_NS
                    self._look()
                if self._segment is not None:
                    # One aligned 64-bit store; it publishes nothing but itself.
                    self._segment.nonrt_status.heartbeat_ns = now
            except Exception as error:  # noqa: BLE001 - the heart outlives whatever goes wrong
                self._quiet.say(logging.ERROR, "heart", f"Heartbeat failed: {error}", error)
            self._last_beat_ns = now

    def _run(self) -> None:
        while not self._ending.wait(BEAT_S):
            self.turn()

    def _look(self) -> None:
        if self._segment is not None and not self._segment.current():
            self._let_go(self._segment)
        if self._segment is None:
            self._attach()

    def _let_go(self, segment: Segment) -> None:
        self._stopped_in_order = segment.header.state == SegmentState.RETIRED
        self._segment = None
        how = "RT stopped in order" if self._stopped_in_order else "it was replaced or removed"
        self._log.warning(
            "Segment %s generation %d left: %s", segment.name, segment.generation, how
        )

    def _attach(self) -> None:
        try:
            segment = Segment.attach(self.instance, Access.NONRT)
        except MxrcError as error:
            self._set_problem(self._problem_of(error))
            return
        if self._claimed:
            self._enter(segment)
        segment.nonrt_status.heartbeat_ns = self._clock.monotonic_ns()
        self._segment = segment
        self._problem = None
        self._said = ""
        self._stopped_in_order = False
        self._log.info("Attached to %s, generation %d", segment.name, segment.generation)

    def _problem_of(self, error: MxrcError) -> AttachProblem:
        if isinstance(error, SegmentAbsent):
            if self._stopped_in_order:
                return AttachProblem("stopped", "the RT process was stopped in order")
            return AttachProblem("absent", f"no RT process: {error}; start mxrc-rt (or `mxrc up`)")
        if isinstance(error, SegmentBuilding):
            return AttachProblem("absent", "the RT process is creating the segment")
        if isinstance(error, SegmentBusy):
            return AttachProblem("taken", f"{error}, or give this one a name with --instance")
        if isinstance(error, SegmentLayoutMismatch):
            return AttachProblem("layout", str(error))
        return AttachProblem("other", str(error))

    def _set_problem(self, problem: AttachProblem) -> None:
        now = self._clock.monotonic_ns()
        starting = problem.kind == "absent" and now - self._started_ns < PATIENCE_NS
        if not starting and self._said != problem.message:
            self._said = problem.message
            level = logging.WARNING if problem.kind in ("absent", "stopped") else logging.ERROR
            self._log.log(level, "Waiting for the segment: %s", problem.message)
        self._problem = problem

    def _enter(self, segment: Segment) -> None:
        """Write this process's identity, `pid` last: it makes the others valid."""
        status = segment.nonrt_status
        pid = os.getpid()
        start = int(lib.mxrc_process_start(pid))
        if status.pid == pid and status.process_start == start:
            return
        before = int(status.pid)  # a stop in order clears it
        if before:
            self.killed_before = before
        status.pid = 0
        status.ready = int(self._ready)
        status.process_start = start
        status.started_ns = self._started_ns
        status.start_count += 1
        status.pid = pid
