"""The consumer that writes checkpoints: every interval, and at every change of the RT state."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nonrt_process.batch import Batch
from nonrt_process.checkpoints import retention
from nonrt_process.consumer import Consumer
from nonrt_process.interfaces import (
    HEALTHY,
    Checkpoint,
    Finding,
    HealthStatus,
    ProcessName,
)
from shared import checkpoint_snapshot
from shared.checkpoint_file import CheckpointFile, load_all, remove_leftovers, write_checkpoint
from shared.clock import Clock
from shared.enums import EventKind

if TYPE_CHECKING:
    from shared.segment import Segment

PROCESS: Final[ProcessName] = "rt_process"
RETRY_NS: Final = 1_000_000_000
STATE_WAIT_NS: Final = 1_000_000_000
"""A dead RT process never finishes the cycle that a state change waits for."""

SET_BACK: Final = timedelta(seconds=2)
"""By how much the newest one has to be ahead of the wall clock for a line of the log."""

Take = Callable[["Segment", str], dict[str, Any] | None]


class CheckpointWriter(Consumer):
    """Writes checkpoints of the RT process. CheckpointInfo, and a HealthCheck of this process.

    interval_ns: returns the time between periodic checkpoints in force.
    take, state_cycle: see checkpoint_snapshot; tests give others.
    """

    name = "checkpoints"
    wants_events = True
    interval_s = 0.1
    process: Final[ProcessName] = "non_rt_process"

    def __init__(
        self,
        directory: Path,
        instance: str,
        clock: Clock,
        interval_ns: Callable[[], int],
        log: logging.Logger,
        *,
        take: Take = checkpoint_snapshot.take,
        state_cycle: Callable[[Segment], int | None] = checkpoint_snapshot.state_cycle,
    ) -> None:
        super().__init__()
        self._directory = directory
        self._instance = instance
        self._clock = clock
        self._interval_ns = interval_ns
        self._log = log
        self._take = take
        self._state_cycle = state_cycle
        self._segment: Segment | None = None
        self._wanted_cycle: int | None = None
        self._wanted_since = 0
        self._last_ns: int | None = None
        self._written_ns: int | None = None
        self._set_back = False
        self._retry_at = 0
        self._lock = threading.Lock()
        self._files: list[CheckpointFile] = []
        self._problem = ""
        self.written = 0
        self.failures = 0

    def load(self) -> None:
        """Look at what is in the folder; skipped files are logged by name."""
        removed = remove_leftovers(self._directory)
        if removed:
            self._log.info("%d unfinished checkpoints removed from %s", removed, self._directory)
        found = load_all(self._directory, PROCESS, self._instance, self._report_bad)
        # Only what identifies them is kept in memory.
        files = [replace(file, document={}) for file in found]
        with self._lock:
            self._files = sorted(files, key=lambda file: file.order)

    def _report_bad(self, line: str) -> None:
        self._log.error("Checkpoint skipped: %s", line)

    # ---- Consumer ------------------------------------------------------------------------------

    def on_attach(self, segment: Segment) -> None:
        self._segment = segment
        self._last_ns = None

    def on_detach(self) -> None:
        if self._wanted_cycle is not None:
            self._write()
        self._segment = None

    def on_batch(self, batch: Batch) -> None:
        changes, _ = batch.select(EventKind.STATE)
        if len(changes):
            self._wanted_cycle = int(changes["cycle"].max())
            self._wanted_since = self._clock.monotonic_ns()
            self._write_if_due(self._wanted_since)

    def on_tick(self, now_ns: int) -> None:
        self._write_if_due(now_ns)

    # ---- writing -------------------------------------------------------------------------------

    def _write_if_due(self, now_ns: int) -> None:
        if self._segment is None or now_ns < self._retry_at:
            return
        if self._wanted_cycle is not None:
            # The event precedes the state block of its cycle by some microseconds.
            cycle = self._state_cycle(self._segment)
            late = now_ns - self._wanted_since > STATE_WAIT_NS
            if late or (cycle is not None and cycle >= self._wanted_cycle):
                self._write()
            return
        if self._last_ns is None or now_ns - self._last_ns >= self._interval_ns():
            self._write()

    def _write(self) -> None:
        assert self._segment is not None
        content = self._take(self._segment, self._instance)
        now_ns = self._clock.monotonic_ns()
        if content is None:
            return  # RT has not run a cycle yet
        now = datetime.fromtimestamp(self._clock.realtime_ns() / 1e9, timezone.utc)
        stamp = retention.stamp(self._files, now)
        try:
            file = write_checkpoint(self._directory, PROCESS, content, stamp)
        except (OSError, ValueError) as error:
            self._failed(error, now_ns)
            return
        self._wanted_cycle = None
        self._last_ns = self._written_ns = now_ns
        self.written += 1
        self._say_set_back(now, stamp)
        if self._problem:
            self._log.warning("Checkpoints are written again: %s", file.path)
            self._problem = ""
        with self._lock:
            files = [*self._files, replace(file, document={})]
        files = retention.prune(files, now)
        with self._lock:
            self._files = files
        self._log.debug("Checkpoint %s written: %s", file.checkpoint_id, file.path)

    def _say_set_back(self, now: datetime, stamp: datetime) -> None:
        ahead = max((file.timestamp for file in self._files), default=now) - now
        if ahead > SET_BACK and not self._set_back:
            what = "get its time" if stamp > now else "get the time of now, and it is removed"
            self._log.warning(
                "The newest checkpoint is %.0f s ahead: the wall clock was set back. "
                "New ones %s, so that they are the newest",
                ahead.total_seconds(),
                what,
            )
        self._set_back = ahead > SET_BACK

    def _failed(self, error: Exception, now_ns: int) -> None:
        self.failures += 1
        self._retry_at = now_ns + RETRY_NS
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        problem = (
            f"checkpoints cannot be written to {self._directory}: {reason}; make room, or give the "
            "folder to the user that runs mxrc (instance.json: checkpoint_dir)"
        )
        if problem != self._problem:
            self._problem = problem
            self._log.error("%s", problem[0].upper() + problem[1:])

    # ---- CheckpointInfo, HealthCheck -----------------------------------------------------------

    def last(self, process: ProcessName) -> Checkpoint | None:
        """The newest complete checkpoint."""
        with self._lock:
            file = self._files[-1] if self._files and process == PROCESS else None
        if file is None:
            return None
        realtime_ns = round(file.timestamp.timestamp() * 1e6) * 1000
        written = self._written_ns
        age_ns = (
            self._clock.monotonic_ns() - written
            if written is not None
            else max(0, self._clock.realtime_ns() - realtime_ns)
        )
        return Checkpoint(
            checkpoint_id=file.checkpoint_id,
            file_path=str(file.path),
            realtime_ns=realtime_ns,
            age_ns=age_ns,
            size_bytes=file.size_bytes,
        )

    def check(self, now_ns: int) -> Finding:
        """DEGRADED when they cannot be written, or the last one is three intervals old."""
        problem = self._problem
        if problem:
            return Finding(HealthStatus.DEGRADED, problem)
        last = self._last_ns
        if last is not None and self._segment is not None:
            age = now_ns - last
            if age > 3 * self._interval_ns() + 5_000_000_000:
                return Finding(
                    HealthStatus.DEGRADED,
                    f"the last checkpoint is {age / 1e9:.0f} s old (checkpoint_interval_sec): "
                    "is the RT process alive, is the disk slow?",
                )
        return HEALTHY
