"""What a benchmark found, and what the documentation says it found."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.bench.reference import FIGURES


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    goal: what it should not exceed, None: a figure for information. note: how to read it.
    """

    key: str
    title: str
    value: float
    unit: str
    goal: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        return None if self.goal is None else self.value <= self.goal

    @property
    def documented(self) -> float | None:
        """The value in docs/benchmarks.md, None when it has none."""
        return FIGURES.get(self.key)


@dataclass(slots=True)
class Report:
    """All figures of a run; skipped: what was left out, and why."""

    figures: list[Figure] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, figures: Iterable[Figure]) -> None:
        self.figures += figures

    def as_json(self) -> dict[str, Any]:
        """A document that JSON can hold."""
        return {
            "machine": machine(),
            "figures": [
                {
                    **{name: _finite(value) for name, value in asdict(one).items()},
                    "holds": one.holds,
                    "documented": one.documented,
                }
                for one in self.figures
            ],
            "skipped": self.skipped,
        }

    def rows(self) -> list[dict[str, Any]]:
        """For shared.cli.output.print_rows, with COLUMNS."""
        return [
            {
                "title": one.title,
                "value": f"{one.value:.4g} {one.unit}".rstrip(),
                "goal": "" if one.goal is None else f"<= {one.goal:g}",
                "verdict": {None: "", True: "holds", False: "MISSED"}[one.holds],
                "documented": "" if one.documented is None else f"{one.documented:.4g}",
                "times": _times(one),
            }
            for one in self.figures
        ]


COLUMNS: Final = {
    "title": "figure",
    "value": "here",
    "goal": "goal",
    "verdict": "verdict",
    "documented": "documented",
    "times": "here / documented",
}


def percentile(values: Any, q: float) -> float:
    """The q-th percentile of a sequence of numbers, NaN of an empty one."""
    array = np.asarray(values, dtype=np.float64)
    return float(np.percentile(array, q)) if len(array) else math.nan


def median(values: Any) -> float:
    """The 50th percentile."""
    return percentile(values, 50)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpus = os.cpu_count() or 1
    return {
        "cpu": _cpu_model(),
        "cpus": cpus,
        "kernel": platform.release().split("-")[0],
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _times(one: Figure) -> str:
    if not one.documented or not math.isfinite(one.value):
        return ""
    return f"{one.value / one.documented:.2f}"
