"""What both sides of the checks in the machine know: those who do them and those who judge."""

from __future__ import annotations

from typing import Final

PERIOD_S: Final = 0.001  # of a cycle, as shipped
ROUNDS: Final = 2
SWEEP_S: Final = 2.5  # there, and as long back
KILLS: Final = 2
