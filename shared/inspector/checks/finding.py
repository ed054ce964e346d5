"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["good", "note", "bad"]
GOOD: Final = "good"
NOTE: Final = "note"
BAD: Final = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """place: region and element, e.g. "cycle_ring slot 17". verdict: "note" is worth knowing (a
    process is dead) and no damage.
    """

    place: str
    check: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Of an instance. verdict: "bad" when any finding is. alive: whether its RT process lives."""

    instance: str
    verdict: Literal["good", "bad"]
    alive: bool
    generation: int
    findings: tuple[Finding, ...]
