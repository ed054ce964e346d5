"""What was changed while the processes ran, and the way back to the configuration files."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter

from nonrt_process.context import Context
from nonrt_process.interfaces import NotKept, RuntimePlacement
from nonrt_process.problem_document import documented

Section = Literal[
    "cpu_affinity", "numa_binding", "rt_schedule", "failover_policy", "logging", "tracing_config"
]


def make_router(context: Context) -> APIRouter:
    """GET /api/v1/overrides, DELETE /api/v1/overrides/{section}."""
    router = APIRouter(prefix="/api/v1/overrides", tags=["settings"])

    def placement() -> RuntimePlacement:
        return context.require(RuntimePlacement)

    @router.get("", responses=documented(NotKept))
    def overrides() -> dict[str, dict[str, Any]]:
        """What is laid over the files at every start: a merge patch (RFC 7396) by file stem."""
        return placement().changed()

    @router.delete("/{section}", responses=documented(NotKept))
    def reset(section: Section) -> dict[str, dict[str, Any]]:
        """Back to what the file says, at once and for the next start; answers with what is left."""
        placement().reset(section)
        return placement().changed()

    return router
