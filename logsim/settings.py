"""What a run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from logsim.scenarios import Scenario

DEFAULT_INTERVAL_S = 2.0
DEFAULT_ERROR_RATE = 0.3
DEFAULT_KEEP = 5
# 2026-01-01T00:00:00Z: where the simulated time of a seeded run begins.
SEEDED_START_MS = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked options. `output` None is standard output; `start_ms` None is the machine's clock.

    `interval_s` 0: as fast as it can; `rate` in lines per second, 0: unlimited; `count` in records
    and `duration_s` are None when the run has no such end. A duration is time of the log where the
    log's time is simulated, else time on the clock.
    """

    interval_s: float = DEFAULT_INTERVAL_S
    error_rate: float = DEFAULT_ERROR_RATE
    rate: float = 0.0
    count: int | None = None
    duration_s: float | None = None
    seed: int | None = None
    start_ms: int | None = None
    format: str = "text"
    output: Path | None = None
    overwrite: bool = False
    rotate_bytes: int = 0
    rotate_keep: int = DEFAULT_KEEP
    traceparent: bool = False
    scenario: Scenario | None = None
    incident: bool = False
    label: Path | None = None
    quiet: bool = False
