"""What both sides of the checks in the machine know: those who do them and those who judge."""

from __future__ import annotations

from typing import Final

PERIOD_S: Final = 0.02  # of a cycle: the machine is slow
ROUNDS: Final = 6
SWEEP_S: Final = 3.0  # there, and as long back
KILLS: Final = 3
