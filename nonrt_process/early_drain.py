"""The RT log is written from before the configuration is read; the part `logs` goes on with it.

The rings of RT go on filling while everything else is imported and validated. The other consumers
begin later, each at its own cursor: what is drained here is drained for this consumer only.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from nonrt_process.context import Heart
from nonrt_process.known_start import KnownStart
from nonrt_process.logs.rt_writer import make_rt_writer
from nonrt_process.pump import Pump
from shared.clock import Clock
from shared.segment import Segment


class _Surroundings(NamedTuple):
    """What a pump needs of a Context, which there is not before the configuration."""

    heart: Heart
    clock: Clock
    log: logging.Logger

    @property
    def segment(self) -> Segment | None:
        return self.heart.segment


class EarlyDrain:
    """A pump that runs already. The lock of the instance has to be held for as long as it does."""

    def __init__(self, known: KnownStart, instance: str, heart: Heart, clock: Clock) -> None:
        self.writer: Final = make_rt_writer(known.log_dir, instance, clock)
        surroundings = _Surroundings(heart, clock, logging.getLogger("nonrt"))
        self.pump: Final = Pump(surroundings, self.writer.consumer)

    def start(self) -> None:
        """The first batch is written, or cannot be, when this returns; then a thread goes on."""
        self.pump.turn()
        self.pump.start()
