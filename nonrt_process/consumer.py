"""The base class of everything that reads the rings.

A consumer runs in a thread of its own (pump.py) with a cursor of its own in the segment: neither a
slow nor a failing one holds up another, and each goes on where it stopped after a crash of the
process. The ring is the backlog: a consumer that is too slow is lapped, and its loss is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nonrt_process.batch import Batch

if TYPE_CHECKING:
    from shared.segment import Segment

CURSOR_USER_WORDS = 10


class NotYet(Exception):
    """Raised by on_batch: nothing of the batch was taken (a full disk); give it again next turn.

    The cursor stays: nothing is lost before the ring laps it, not even at the process's end.
    """


class Consumer:
    """Override what is needed; all methods are called by the consumer's one thread.

    name: at most 23 bytes; names the cursor in the segment, the thread and the metrics.
    wants_events, wants_cycles: which rings are read.
    goes_on: True: begins at its cursor, or with the oldest record there is when it has none yet.
        False: begins with the next record to be written, at each attach (statistics, live views).
    goes_back: with goes_on: records of each ring before the cursor that are given again at attach,
        as far as they are there still; none of them counts as lost.
    interval_s: longest time between two looks at the rings, and the time between two on_tick.
    max_records: most events, and most cycles, in one batch.
    cursor_user: ten words (0 .. 2^64-1) that the consumer may use freely. They are loaded before
        on_attach and stored in the segment after on_batch, on_tick and on_detach, before the cursor
        is: after a crash they are never behind it.
    """

    name: ClassVar[str]
    wants_events: ClassVar[bool] = False
    wants_cycles: ClassVar[bool] = False
    goes_on: ClassVar[bool] = True
    goes_back: ClassVar[int] = 0
    interval_s: float = 0.1
    max_records: int = 4096

    def __init__(self) -> None:
        self.cursor_user: list[int] = [0] * CURSOR_USER_WORDS

    def on_attach(self, segment: Segment) -> None:
        """A generation is there: before the first batch, and after each on_detach."""

    def on_detach(self) -> None:
        """The generation is gone, or the process stops: drop every view into the segment, flush."""

    def on_batch(self, batch: Batch) -> None:
        """New records, or only a loss (empty batch with lost_* set).

        The cursor moves on when this returns. An exception is logged and the same batch is given
        once more; if that raises too the batch counts as lost. So make it safe to do twice: after a
        crash of the process, too, the last batch comes again. NotYet is no failure: see there.
        """

    def on_left(self, events: int, cycles: int) -> None:
        """Before on_detach: the generation goes, and so many records were NotYet taken: lost."""

    def on_tick(self, now_ns: int) -> None:
        """About every interval_s, with or without a segment; now_ns is CLOCK_MONOTONIC."""
