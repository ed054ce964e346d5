"""CPUs, scheduling and memory policy at runtime: configured and in force, and their change."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from nonrt_process.context import Context
from nonrt_process.interfaces import PROCESSES, NotKept, ProcessName, RuntimePlacement
from nonrt_process.problem_document import documented

Patch = Annotated[
    dict[ProcessName, dict[str, Any]],
    Body(
        description="Merge patch (RFC 7396) of the configuration file: what is left out stays.",
        examples=[{"rt_process": {"priority": 70}}],
    ),
]


def make_router(context: Context) -> APIRouter:
    """GET and PUT of /api/v1/affinity and /api/v1/numa."""
    router = APIRouter(prefix="/api/v1", tags=["settings"])

    def placement() -> RuntimePlacement:
        return context.require(RuntimePlacement)

    def shown(section: str) -> dict[str, Any]:
        return {process: placement().placement(section, process) for process in PROCESSES}

    @router.get("/affinity")
    def affinity() -> dict[str, Any]:
        """CPUs, policy and isolation of each process: configured, and in force."""
        return shown("cpu_affinity")

    @router.put("/affinity", responses=documented(NotKept))
    def set_affinity(body: Patch) -> dict[str, Any]:
        """Change them; in force when this answers, and after a restart. Refused as a whole."""
        placement().change({"cpu_affinity": body})
        return shown("cpu_affinity")

    @router.get("/numa")
    def numa() -> dict[str, Any]:
        """Memory policy of each process: configured, and in force with the measured local share."""
        return shown("numa_binding")

    @router.put("/numa", responses=documented(NotKept))
    def set_numa(body: Patch) -> dict[str, Any]:
        """Change it; pages that are allocated move outside of RUNNING if migrate_pages is true."""
        placement().change({"numa_binding": body})
        return shown("numa_binding")

    return router
