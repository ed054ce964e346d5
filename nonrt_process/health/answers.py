"""The body of GET /health, kept for a moment.

Making it reads /proc half a dozen times, and each reading gives the interpreter's lock away: beside
thousands of starts of tasks it is had back milliseconds later.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from nonrt_process.context import Context
from nonrt_process.health.documents import HealthDocuments
from nonrt_process.health.registry import Registry
from nonrt_process.interfaces import ProcessName

FRESH_NS: Final = 50_000_000
"""A process that is gone is noticed that much later at most; other checks look for longer ages."""


class _Kept(NamedTuple):
    made_ns: int
    facts: tuple[object, ...]
    body: dict[str, Any]


class HealthAnswers:
    """For one thread. Of what is read from the segment alone nothing is older than the request."""

    def __init__(self, context: Context, registry: Registry, documents: HealthDocuments) -> None:
        self._context = context
        self._registry = registry
        self._documents = documents
        self._kept: dict[ProcessName, _Kept] = {}

    def body(self, process: ProcessName) -> dict[str, Any]:
        """Fields of the answer."""
        began = time.perf_counter()
        now_ns, facts = self._context.clock.monotonic_ns(), self._facts()
        kept = self._kept.get(process)
        if kept is None or kept.facts != facts or not 0 <= now_ns - kept.made_ns < FRESH_NS:
            made = self._documents.health(process, self._registry.report(process))
            kept = self._kept[process] = _Kept(now_ns, facts, made)
        took_s = time.perf_counter() - began
        return {**kept.body, "response_time_ms": round(took_s * 1e3, 3)}

    def _facts(self) -> tuple[object, ...]:
        """What shows at once."""
        segment = self._context.segment
        if segment is None:
            return (self._context.heart.problem,)
        status = segment.rt_status
        state, cause = int(status.state), int(status.safe_cause)
        return segment.generation, int(segment.lease.owner), state, cause
