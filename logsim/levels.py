"""The mix of levels: exact over every block of a thousand records, in random order within it."""

from __future__ import annotations

from random import Random
from typing import Literal

Level = Literal["INFO", "WARN", "ERROR"]

# What is not ERROR splits WARN : INFO in this ratio.
WARN_SHARE = 15
INFO_SHARE = 55
BLOCK = 1000


def shares(error_rate: float) -> dict[Level, float]:
    """Share of each level (they add up to 1) for an error rate of 0..1."""
    rest = (1.0 - error_rate) / (WARN_SHARE + INFO_SHARE)
    return {"ERROR": error_rate, "WARN": rest * WARN_SHARE, "INFO": rest * INFO_SHARE}


class LevelMix:
    """Deals levels from a shuffled deck, and lets a story take a level out of turn.

    Counts are carried from block to block, so that shares too small for a whole card per block
    come out right in the long run. A level taken out of turn is a debt: the next card of
    that level is exchanged for the card that was pushed aside, so the totals stay the deck's.
    """

    def __init__(self, error_rate: float, random: Random) -> None:
        self._random = random
        self._shares = shares(error_rate)
        # Half a card to start with: rounds to the nearest count instead of down.
        self._carry: dict[Level, float] = {"ERROR": 0.5, "WARN": 0.5}
        self._deck: list[Level] = []
        self._owed: dict[Level, list[Level]] = {"ERROR": [], "WARN": [], "INFO": []}
        self._debt = 0

    @property
    def debt(self) -> int:
        """How many records were taken out of turn and not yet made good."""
        return self._debt

    def possible(self, level: Level) -> bool:
        """Whether the mix asked for has this level at all."""
        return self._shares[level] > 0.0

    def next(self) -> Level:
        """The level of the next record."""
        if not self._deck:
            self._shuffle_block()
        card = self._deck.pop()
        if self._debt:
            owed = self._owed[card]
            if owed:
                self._debt -= 1
                return owed.pop()
        return card

    def take(self, level: Level) -> None:
        """Make the next record one of `level`, out of turn."""
        card = self.next()
        if card != level:
            self._owed[level].append(card)
            self._debt += 1

    def _shuffle_block(self) -> None:
        counts: dict[Level, int] = {}
        for level in self._carry:
            exact = self._shares[level] * BLOCK + self._carry[level]
            counts[level] = int(exact)
            self._carry[level] = exact - counts[level]
        errors = min(counts["ERROR"], BLOCK)
        warnings = min(counts["WARN"], BLOCK - errors)
        self._carry["WARN"] += counts["WARN"] - warnings
        deck: list[Level] = ["INFO"] * BLOCK
        deck[:errors] = ["ERROR"] * errors
        deck[errors : errors + warnings] = ["WARN"] * warnings
        self._deck = deck
        # Sorting by random keys shuffles as well as Random.shuffle and takes a third of the time.
        draw = self._random.random
        self._deck.sort(key=lambda _: draw())
