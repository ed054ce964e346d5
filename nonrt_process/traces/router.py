"""HTTP of the traces kept on this machine."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from nonrt_process.interfaces import Problem, TryAgain
from nonrt_process.problem_document import documented
from nonrt_process.traces import views
from nonrt_process.traces.archive import Archive, Summary
from shared.sqlite_store import StoreError

MAX_LIMIT = 1000


class UnknownTrace(Problem):
    """No span of that trace is kept here."""

    status, title = 404, "Unknown trace"


class StoreUnavailable(TryAgain):
    """The store of spans cannot be read."""

    title = "Store of spans is not available"


class Trace(BaseModel):
    """A trace in short."""

    trace_id: str
    started_at: str
    duration_ms: float
    root: str = Field(description="Name of its first span")
    task_id: str | None
    spans: int
    error: str | None = Field(description="Of the first span that failed")


class Traces(BaseModel):
    """Newest first."""

    traces: list[Trace]


def make_router(archive: Archive) -> APIRouter:
    """GET /api/v1/traces and /api/v1/traces/{trace_id}."""
    router = APIRouter(prefix="/api/v1/traces", tags=["traces"])

    @router.get("", response_model=Traces)
    def traces(
        task: Annotated[str | None, Query(max_length=63, description="Task id")] = None,
        min_duration: Annotated[float, Query(ge=0, le=1e9, description="Milliseconds")] = 0,
        error: Annotated[bool | None, Query(description="Only with, or without, an error")] = None,
        cycles: Annotated[bool, Query(description="rt.cycle traces instead")] = False,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    ) -> dict[str, Any]:
        """Traces whose sampled spans are kept here (7 days, within a quota)."""
        try:
            found = archive.find(
                task=task,
                min_duration_ns=int(min_duration * 1e6),
                error=error,
                cycles=cycles,
                limit=limit,
            )
        except StoreError as problem:
            raise StoreUnavailable(str(problem)) from problem
        return {"traces": [_summary(one) for one in found]}

    @router.get("/{trace_id}", responses=documented(UnknownTrace))
    def trace(
        trace_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
        form: Annotated[Literal["spans", "otlp-json"], Query(alias="format")] = "spans",
        cycles: Annotated[bool, Query(description="And the rt.cycle spans of its time")] = False,
    ) -> dict[str, Any]:
        """All spans of a trace that are kept here, by start."""
        try:
            request = archive.request(bytes.fromhex(trace_id))
            if not request:
                raise UnknownTrace(
                    f"no span of trace {trace_id} is kept here: it was not sampled, has not "
                    "ended, or is older than 7 days"
                )
            spans = views.spans(request)
            if cycles:
                begin, end = spans[0]["start_ns"], max(one["end_ns"] for one in spans)
                request += archive.cycles_request(begin, end)
                spans = views.spans(request)
        except StoreError as problem:
            raise StoreUnavailable(str(problem)) from problem
        if form == "otlp-json":
            return views.otlp_json(request)
        return {"trace_id": trace_id, "spans": spans}

    return router


def _summary(one: Summary) -> dict[str, Any]:
    started = datetime.fromtimestamp(one.start_ns / 1e9, timezone.utc)
    return {
        "trace_id": one.trace_id.hex(),
        "started_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration_ms": (one.end_ns - one.start_ns) / 1e6,
        "root": one.root,
        "task_id": one.task_id or None,
        "spans": one.spans,
        "error": one.error or None,
    }
