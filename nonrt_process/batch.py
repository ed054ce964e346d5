"""What a consumer is given: the records that were written since it looked last, as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.layout import Records


@dataclass(frozen=True, slots=True)
class Batch:
    """Copies of ring records; the arrays belong to the consumer.

    generation: of the segment that they come from.
    events: (n,) of the event dtype, all lanes together in the order of time_ns; the order within a
        lane is always that in which it was written.
    lanes: (n,) uint8, the lane of each event. 2m: RT thread of member m, 2m+1: its main thread.
    cycles: (m,) of the cycle dtype, in the order written.
    lost_events, lost_cycles: records overwritten before this batch could be read.
    ranges: lane -> (first, end): the numbers that were read, first .. end - 1; one that is not
        among the events was lost, or its writer died in it.
    A consumer that does not want events (or cycles) gets them empty.
    """

    generation: int
    events: Records
    lanes: NDArray[np.uint8]
    cycles: Records
    lost_events: int = 0
    lost_cycles: int = 0
    ranges: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of records, events and cycles."""
        return len(self.events) + len(self.cycles)

    @property
    def event_numbers(self) -> NDArray[np.uint64]:
        """(n,) number of each event within its lane."""
        numbers: NDArray[np.uint64] = self.events["seq"] // np.uint64(2) - np.uint64(1)
        return numbers

    @property
    def event_sequences(self) -> NDArray[np.uint64]:
        """(n,) `event.sequence`: number * 16 + lane; unique within a generation."""
        sequences: NDArray[np.uint64] = self.event_numbers * np.uint64(16) + self.lanes
        return sequences

    def select(self, kind: int) -> tuple[Records, NDArray[np.uint8]]:
        """The events of one kind (MXRC_EVENT_*), and their lanes."""
        mask: NDArray[Any] = self.events["kind"] == kind
        return self.events[mask], self.lanes[mask]
