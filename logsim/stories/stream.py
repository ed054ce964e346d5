"""The stream of records: everyday traffic, with incidents on top when they are asked for."""

from __future__ import annotations

from random import Random

from logsim.levels import LevelMix
from logsim.record import Record
from logsim.scenarios import Scenario
from logsim.stories.background import Background
from logsim.stories.incident import Incidents


class Stream:
    """Deals the levels and has the stories tell a record of each."""

    def __init__(
        self,
        random: Random,
        *,
        error_rate: float,
        scenario: Scenario | None = None,
        incidents: bool = False,
    ) -> None:
        self._mix = LevelMix(error_rate, random)
        self._background = Background(random, scenario)
        self._incidents = Incidents(random, self._mix) if incidents else None

    def next(self, now_ms: int) -> Record:
        """The next record, with its time."""
        record = self._incidents.next(now_ms) if self._incidents else None
        if record is None:
            record = self._background.produce(self._mix.next(), now_ms)
        record.ms = now_ms
        return record
