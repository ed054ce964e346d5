"""The consumer that writes RT events into rt_process.log, each exactly once.

The file itself says how far it got: its lines carry event.sequence and the generation. A batch is
appended by one write and the cursor moves afterwards; so after a crash the file may be ahead
of the cursor by what it holds of one batch, and those lines are found at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from nonrt_process.batch import Batch
from nonrt_process.consumer import Consumer, NotYet
from nonrt_process.logs import ecs
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.rt_lines import Loss, RtLines
from nonrt_process.logs.statistics import Statistics
from shared.clock import Clock
from shared.enums import RegionId
from shared.layout import Records

if TYPE_CHECKING:
    from shared.segment import Segment


INTERVAL_S: Final = 0.05
BUSY_INTERVAL_S: Final = 0.2
BUSY_EVENTS: Final = 50
"""In a batch. A batch of few lines takes half as long as one of a hundred; a line is to be in the
file within a second."""
BUSY_SHARE: Final = 1 / 16
"""Of a lane: a batch of more is not waited for any longer."""


class RtLog(Consumer):
    """Writes every event that has a message id."""

    name = "logs"
    wants_events = True
    interval_s = INTERVAL_S

    def __init__(
        self,
        file: LogFile,
        health: FileHealth,
        statistics: Statistics,
        clock: Clock,
        instance: str,
    ) -> None:
        super().__init__()
        self._file = file
        self._health = health
        self._statistics = statistics
        self._clock = clock
        self._instance = instance
        self._lines: RtLines | None = None
        self._generation = 0
        self._room = 0
        self._written: dict[int, int] | None = None
        """Lane -> number of the last event in the file; None: the file has not been looked at."""
        self._left = 0
        """Events that went with an earlier generation; not said in the file yet."""

    def on_attach(self, segment: Segment) -> None:
        self._lines = RtLines(segment, self._instance)
        slots = segment.description(RegionId.LANE).element_count
        self._room = int(slots * BUSY_SHARE)
        if segment.generation != self._generation:
            self._generation = segment.generation
            self._written = None

    def on_detach(self) -> None:
        self._lines = None

    def on_batch(self, batch: Batch) -> None:
        busy = BUSY_EVENTS <= len(batch.events) <= self._room
        self.interval_s = BUSY_INTERVAL_S if busy else INTERVAL_S
        try:
            self._write(batch)
        except OSError as error:
            self._health.failed(error)
            raise NotYet(str(error)) from error

    def on_left(self, events: int, cycles: int) -> None:
        self._left += events

    def on_tick(self, now_ns: int) -> None:
        try:
            self._file.tick()
        except OSError as error:
            self._health.failed(error)

    def _write(self, batch: Batch) -> None:
        lines = self._lines
        assert lines is not None, "attached before the first batch"
        numbers = batch.event_numbers.astype(np.int64)
        ranges = batch.ranges or _ranges(batch.lanes, numbers)
        if self._written is None:
            starts = {lane: first for lane, (first, _) in ranges.items()}
            self._written = last_written(self._file.lines_from_end(), batch.generation, starts)
        wanted = self._unwritten(batch, numbers) & (batch.events["message_id"] != 0)
        losses = self._losses(batch, numbers, ranges) if batch.lost_events else []
        now = self._clock.realtime_ns()
        out = bytearray(lines.left(self._left, now) if self._left else b"")
        for loss in losses:
            out += lines.lost(loss, now)
        events = batch.events[wanted]
        out += lines.encode(events, batch.lanes[wanted])
        if out:
            self._file.append(out)
            self._health.worked()
        self._statistics.count_dropped("rt_process", self._left + sum(map(len, losses)))
        self._left = 0
        for lane, (_, end) in ranges.items():
            self._written[lane] = max(end - 1, self._written.get(lane, -1))
        if len(events):
            self._observe(events)

    def _unwritten(self, batch: Batch, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        fresh = np.ones(len(numbers), np.bool_)
        assert self._written is not None
        for lane, last in self._written.items():
            fresh &= (batch.lanes != lane) | (numbers > last)
        return fresh

    def _losses(
        self, batch: Batch, numbers: NDArray[np.int64], ranges: Mapping[int, tuple[int, int]]
    ) -> list[Loss]:
        """Numbers that were read past, without those that the file holds already."""
        assert self._written is not None
        found = []
        for lane, (first, end) in ranges.items():
            begin = max(first, self._written.get(lane, -1) + 1)
            present = numbers[(batch.lanes == lane) & (numbers >= begin)]
            edges = np.concatenate(([begin - 1], present, [max(begin, end)]))
            for gap in np.flatnonzero(np.diff(edges) > 1).tolist():
                found.append(Loss(lane, int(edges[gap]) + 1, int(edges[gap + 1]) - 1))
        return found

    def _observe(self, events: Records) -> None:
        now = np.int64(self._clock.monotonic_ns())
        self._statistics.observe_latencies(now - events["time_ns"].astype(np.int64))


def last_written(
    lines: Iterable[bytes], generation: int, starts: Mapping[int, int]
) -> dict[int, int]:
    """Lane -> number of the last event that the file holds of the batch that begins at `starts`.

    lines: whole lines, the newest first. starts: lane -> number of the first event that is to be
    written. Looks back as far as a line from before that batch.
    """
    found: dict[int, int] = {}
    for line in lines:
        try:
            document = orjson.loads(line)
            sequence = document.get(ecs.EVENT_SEQUENCE, document.get(ecs.LOST_LAST))
            line_generation = document.get(ecs.GENERATION)
        except (ValueError, AttributeError):
            continue
        if not isinstance(sequence, int) or not isinstance(line_generation, int):
            continue
        if line_generation != generation:
            break
        lane, number = sequence % 16, sequence // 16
        if number < starts.get(lane, 0):
            break
        found[lane] = max(number, found.get(lane, -1))
    return found


def _ranges(lanes: NDArray[np.uint8], numbers: NDArray[np.int64]) -> dict[int, tuple[int, int]]:
    """Lane -> numbers of its events: first and one behind the last."""
    found = {}
    for lane in np.unique(lanes).tolist():
        own = numbers[lanes == lane]
        found[lane] = (int(own.min()), int(own.max()) + 1)
    return found
