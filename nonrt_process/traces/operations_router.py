"""HTTP of the figures of operations: which is slow, and which step it waits for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from nonrt_process.traces.bottlenecks import Bottlenecks
from shared.clock import Clock


class Slowest(BaseModel):
    """Why an operation is a bottleneck."""

    step: str = Field(description="What takes most of the critical path of its slowest trace")
    share: float = Field(description="Of that path, 0 to 1")
    trace_id: str | None


class Operation(BaseModel):
    """Spans of one name that ended in the last minute. Times in ms."""

    operation: str
    spans: int
    mean_ms: float
    beyond_ms: float = Field(description="Mean time beyond what was planned")
    p95_ms: float = Field(description="At most 19 % above the true value")
    error_ratio: float
    threshold_ms: float
    judged_ms: float = Field(
        description="Held against it: mean_ms with a threshold of its own, else beyond_ms"
    )
    bottleneck: Slowest | None


class OperationsPage(BaseModel):
    """Bottlenecks first, then by the time that all of them took together."""

    operations: list[Operation]


def make_router(bottlenecks: Bottlenecks, clock: Clock) -> APIRouter:
    """GET /api/v1/tracing/operations."""
    router = APIRouter(prefix="/api/v1/tracing", tags=["traces"])

    @router.get("/operations", response_model=OperationsPage)
    def operations() -> dict[str, Any]:
        """What the operations of the last minute took, by spans that were recorded."""
        now_ns = clock.monotonic_ns()
        rows: list[dict[str, Any]] = []
        for name, figure in bottlenecks.figures(now_ns).items():
            found = bottlenecks.found.get(name)
            threshold_s, judged_s = bottlenecks.judged(name, figure)
            slowest = None
            if found is not None:
                slowest = {
                    "step": found.step,
                    "share": found.share,
                    "trace_id": found.trace_id or None,
                }
            rows.append(
                {
                    "operation": name,
                    "spans": figure.spans,
                    "mean_ms": figure.mean_s * 1e3,
                    "beyond_ms": figure.beyond_s * 1e3,
                    "p95_ms": figure.p95_s * 1e3,
                    "error_ratio": figure.error_ratio,
                    "threshold_ms": threshold_s * 1e3,
                    "judged_ms": judged_s * 1e3,
                    "bottleneck": slowest,
                }
            )
        rows.sort(key=lambda row: (row["bottleneck"] is None, -row["spans"] * row["mean_ms"]))
        return {"operations": rows}

    return router
