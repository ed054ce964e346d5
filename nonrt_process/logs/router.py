"""GET /api/v1/logs: search in the log files of this host."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from nonrt_process.interfaces import ProcessName, TryAgain
from nonrt_process.logs import index
from shared.config.models.logging import Level
from shared.sqlite_store import StoreError


class Unreadable(TryAgain):
    """The index cannot be read now."""

    title = "Log search not available"


class LogPage(BaseModel):
    """Lines that fit, the newest first."""

    took_ms: float
    logs: list[dict[str, Any]] = Field(description="ECS documents as in the files")


Seconds = Annotated[float | None, Query(ge=0, le=9e9, description="Seconds since 1970, UTC")]
Word = Annotated[str | None, Query(max_length=1000)]


def make_router(found_in: index.LogIndex) -> APIRouter:
    """The router over an index."""
    router = APIRouter(prefix="/api/v1", tags=["logs"])

    @router.get("/logs", response_model=LogPage)
    def logs(
        q: Annotated[
            str | None, Query(max_length=1000, description='Words, "phrases", prefix*')
        ] = None,
        since: Seconds = None,
        until: Seconds = None,
        level: Annotated[Level | None, Query(description="This level and those above")] = None,
        task: Word = None,
        trace: Word = None,
        process: ProcessName | None = None,
        limit: Annotated[int, Query(ge=1, le=index.MAX_RESULTS)] = 100,
    ) -> dict[str, Any]:
        """Search what this host has logged in the last 24 hours."""
        began = time.perf_counter()
        query = index.Query(
            q,
            None if since is None else _line_ns(since),
            None if until is None else _line_ns(until),
            level,
            task,
            trace,
            process,
            limit,
        )
        try:
            found = found_in.search(query)
        except StoreError as error:
            raise Unreadable(f"{error}; the log files can be read all the same") from error
        return {"took_ms": (time.perf_counter() - began) * 1e3, "logs": found}

    return router


def _line_ns(seconds: float) -> int:
    """Lines are stamped to the microsecond; a float is too coarse for what comes after it."""
    return round(seconds * 1e6) * 1000
