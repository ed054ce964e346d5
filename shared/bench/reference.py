"""The figures of docs/benchmarks.md, which `mxrc bench` compares with.

A test holds the two together.
"""

from __future__ import annotations

from typing import Final

FIGURES: Final[dict[str, float]] = {}
