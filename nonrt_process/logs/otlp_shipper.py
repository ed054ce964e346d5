"""Log records over OTLP: a thread that reads the log files behind their writers and posts them.

The files are the backlog, and where it goes on is kept on disk: each line is delivered at least
once, also when the receiver or this process was away, as long as the quota of the files keeps it. A
file that was deleted before it was sent is counted, and the log says so.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from prometheus_client.core import CounterMetricFamily, Metric

from nonrt_process.interfaces import ProcessName
from nonrt_process.logs import ecs
from nonrt_process.logs.otlp_records import request_of
from nonrt_process.otlp_http import RETRYABLE, Answer, Backoff, Transport, TransportError
from shared.clock import Clock
from shared.log_files import log_files

CHUNK: Final = 1 << 20
INTERVAL_S: Final = 0.25
PROCESSES: Final[tuple[ProcessName, ...]] = ("rt_process", "non_rt_process")
TIMEOUT_S: Final = 10.0
LAST_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a process's log goes on. mark, begun: id and time in the first line of the file."""

    mark: str
    begun: str
    place: int


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    mark: str
    begun: str


class OtlpShipper:
    """Delivers the log files of `folder`.

    state: the file that keeps the positions. resources: attributes of each process. lowest: lines
    below that level stay here.
    """

    def __init__(
        self,
        folder: Path,
        state: Path,
        make_transport: Callable[[], Transport],
        resources: Mapping[ProcessName, Mapping[str, str]],
        lowest: str,
        clock: Clock,
        log: logging.Logger,
        target: str,
    ) -> None:
        self._folder = folder
        self._state = state
        self._make_transport = make_transport
        self._transport: Transport | None = None
        self._resources = resources
        self._lowest = lowest
        self._clock = clock
        self._log = log
        self._target = target
        self._backoff = Backoff()
        self._problem = ""
        self._positions: dict[ProcessName, Position] = {}
        self.delivered = 0
        self.refused = 0
        self.missed_files = 0
        self._load()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-logs", daemon=True)

    # ---- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deliver: what is logged from the first start on."""
        for process in self._resources:
            if process not in self._positions:
                with suppress(OSError):  # a turn says it
                    self._next(process)
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Deliver what is left if the receiver answers at once; the rest when this runs again."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def collect(self) -> list[Metric]:
        """MetricSource."""
        records = CounterMetricFamily(
            "mxrc_logging_otlp_records",
            "Log records sent over OTLP, by what the receiver did with them",
            labels=["process", "outcome"],
        )
        records.add_metric(["non_rt_process", "delivered"], self.delivered)
        records.add_metric(["non_rt_process", "refused"], self.refused)
        missed = CounterMetricFamily(
            "mxrc_logging_otlp_missed_files",
            "Log files that were deleted before they were sent over OTLP",
            labels=["process"],
        )
        missed.add_metric(["non_rt_process"], self.missed_files)
        return [records, missed]

    def _run(self) -> None:
        while not self._ending.is_set():
            self._ending.wait(self._guarded_turn(TIMEOUT_S))
        if not self._problem:
            self._guarded_turn(LAST_TIMEOUT_S)

    def _guarded_turn(self, timeout_s: float) -> float:
        try:
            return self.turn(timeout_s)
        except OSError as error:
            self._complain(str(error))
            return 4 * INTERVAL_S

    # ---- one turn ------------------------------------------------------------------------------

    def turn(self, timeout_s: float = TIMEOUT_S) -> float:
        """Deliver what is there; returns the wait (s) until the next turn. Raises OSError."""
        for process in self._resources:
            while (chunk := self._next(process)) is not None:
                lines, behind = chunk
                wait_s = self._deliver(process, lines, timeout_s)
                if wait_s:
                    return wait_s
                self._positions[process] = behind
                self._save()
                if self._ending.is_set() and timeout_s > LAST_TIMEOUT_S:
                    return 0.0
        return INTERVAL_S

    def _next(self, process: ProcessName) -> tuple[list[bytes], Position] | None:
        """Whole lines that are not delivered yet and the position behind them."""
        # Listed before it is read: a file that has a newer one beside it grows no more.
        files = self._files(process)
        position = self._positions.get(process)
        if position is None:
            # What is there the first time stays here; without a file all that comes is sent.
            newest = files[-1] if files else None
            self._positions[process] = (
                Position("", "", 0)
                if newest is None
                else Position(newest.mark, newest.begun, newest.path.stat().st_size)
            )
            self._save()
            return None
        at = next((n for n, file in enumerate(files) if file.mark == position.mark), None)
        if at is None:
            later = [file for file in files if file.begun > position.begun]
            # Without a later one: the clock was put back; the file in use is the one that goes on.
            later = later or [one for one in files if one.path.name == f"{process}.log"]
            if not later:
                return None
            if position.mark:
                self._missed(process)
            at, position = files.index(later[0]), Position(later[0].mark, later[0].begun, 0)
            self._positions[process] = position
            self._save()
        for file in files[at:]:
            if file.mark != position.mark:
                position = Position(file.mark, file.begun, 0)
            with suppress(FileNotFoundError):
                lines, behind = _read(file.path, position.place)
                if behind != position.place:
                    return lines, replace(position, place=behind)
        return None

    def _missed(self, process: ProcessName) -> None:
        self.missed_files += 1
        self._log.error(
            "A file of %s.log was deleted before it was sent to %s: lines of it are missing there",
            process,
            self._target,
        )

    def _files(self, process: ProcessName) -> list[_File]:
        found = []
        for path in log_files(self._folder, process):
            with suppress(OSError, ValueError, KeyError, TypeError):
                with path.open("rb") as file:
                    first = orjson.loads(file.readline(4096))
                found.append(_File(path, str(first[ecs.FILE_ID]), str(first[ecs.TIMESTAMP])))
        return sorted(found, key=lambda file: file.begun)

    def _deliver(self, process: ProcessName, lines: list[bytes], timeout_s: float) -> float:
        """Send; returns the wait (s) before it is tried again, 0: it is done with."""
        body, count = request_of(
            lines, self._resources[process], self._lowest, self._clock.realtime_ns()
        )
        if not count:
            return 0.0
        if self._transport is None:
            try:
                self._transport = self._make_transport()
            except TransportError as error:
                self._complain(f"{error}; they wait in the log files")
                return self._backoff.wait_s(Answer(0), self._clock.realtime_ns())
        answer = self._transport.send(body, timeout_s)
        if 200 <= answer.status < 300:
            rejected = self._rejected(answer, count)
            self.delivered += count - rejected
            self.refused += rejected
            self._worked()
            return 0.0
        reason = answer.error or f"HTTP status {answer.status}"
        if answer.status == 0 or answer.status in RETRYABLE:
            self._complain(f"{reason}; they wait in the log files and are sent again")
            return self._backoff.wait_s(answer, self._clock.realtime_ns())
        self.refused += count
        self._complain(f"{reason}: refused, {count} records given up")
        return 0.0

    def _rejected(self, answer: Answer, sent: int) -> int:
        try:
            partial = ExportLogsServiceResponse.FromString(answer.body).partial_success
        except DecodeError:
            return 0  # e.g. a receiver that answers in JSON: the status counts
        rejected = min(max(0, partial.rejected_log_records), sent)
        if rejected:
            self._log.warning(
                "%s rejected %d of %d log records: %s",
                self._target,
                rejected,
                sent,
                partial.error_message[:500],
            )
        return int(rejected)

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._log.warning("Log records are not delivered to %s: %s", self._target, problem)

    def _worked(self) -> None:
        self._backoff.reset()
        if self._problem:
            self._problem = ""
            self._log.info("Log records are delivered to %s again", self._target)

    def _load(self) -> None:
        try:
            content = json.loads(self._state.read_text())
            for process in PROCESSES:
                if process in content:
                    one = content[process]
                    position = Position(str(one["mark"]), str(one["begun"]), int(one["place"]))
                    self._positions[process] = position
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._log.warning(
                "%s cannot be read (%s: %s): log records are sent to %s from now on, what waited "
                "for it is not",
                self._state,
                type(error).__name__,
                error,
                self._target,
            )

    def _save(self) -> None:
        content = {process: asdict(position) for process, position in self._positions.items()}
        temporary = self._state.with_suffix(".new")
        temporary.write_text(json.dumps(content))
        temporary.chmod(0o640)
        temporary.replace(self._state)


def _read(path: Path, place: int) -> tuple[list[bytes], int]:
    """Whole lines from `place` on and the place behind them."""
    with path.open("rb") as file:
        file.seek(place)
        chunk = file.read(CHUNK)
    end = chunk.rfind(b"\n") + 1
    if not end and len(chunk) == CHUNK:
        return [], place + CHUNK  # one line longer than a chunk is none of ours: passed over
    return chunk[:end].splitlines(), place + end
