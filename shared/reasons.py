"""Why the process does not run as configured, and what would change that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.startup import Refused


@dataclass(frozen=True, slots=True)
class Reason:
    """what: one line about what is not as configured. fix: how to get it."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}: {self.fix}"


def refuse_if_exclusive(exclusive: bool, reasons: Iterable[Reason], where: str) -> None:
    """An exclusive process starts as configured or not at all.

    Raises:
        Refused: with one line per reason.
    """
    lines = [f"{where}: is_exclusive is true, and {reason}" for reason in reasons]
    if exclusive and lines:
        raise Refused("\n".join(lines))
