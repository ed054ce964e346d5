"""How far the rings had been read: kept with each request in the spool."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from nonrt_process.batch import Batch
from shared.layout import LANES

_FORMAT: Final = struct.Struct(f"<Q{LANES}QQ")


@dataclass
class Mark:
    """Numbers of the next event of each lane, and of the next cycle, of one generation."""

    generation: int = 0
    lanes: list[int] = field(default_factory=lambda: [0] * LANES)
    cycles: int = 0

    @classmethod
    def unpack(cls, data: bytes, generation: int) -> Mark:
        """The mark of `data` if it is of that generation, else one at its beginning."""
        if len(data) == _FORMAT.size:
            found, *lanes, cycles = _FORMAT.unpack(data)
            if found == generation:
                return cls(generation, list(lanes), cycles)
        return cls(generation)

    def pack(self) -> bytes:
        """As bytes."""
        return _FORMAT.pack(self.generation, *self.lanes, self.cycles)

    def new_events(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """(n,) which events of the batch are behind the mark."""
        bounds = np.array(self.lanes, np.uint64)
        new: npt.NDArray[np.bool_] = batch.event_numbers >= bounds[batch.lanes]
        return new

    def new_cycles(self, batch: Batch) -> npt.NDArray[np.bool_]:
        """(m,) which cycles of the batch are behind the mark."""
        new: npt.NDArray[np.bool_] = _cycle_numbers(batch) >= np.uint64(self.cycles)
        return new

    def move(self, batch: Batch) -> None:
        """Behind everything in the batch."""
        for lane in np.unique(batch.lanes).tolist():
            newest = int(batch.event_numbers[batch.lanes == lane].max())
            self.lanes[lane] = max(self.lanes[lane], newest + 1)
        if len(batch.cycles):
            self.cycles = max(self.cycles, int(_cycle_numbers(batch).max()) + 1)


def _cycle_numbers(batch: Batch) -> npt.NDArray[np.uint64]:
    numbers: npt.NDArray[np.uint64] = batch.cycles["seq"] // np.uint64(2) - np.uint64(1)
    return numbers
