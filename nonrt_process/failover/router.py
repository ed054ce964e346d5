"""/api/v1/failover: what the manager thinks, and the end of a manual intervention."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from nonrt_process.context import Context
from nonrt_process.failover.manager import Manager
from shared.reset_request import request_reset


class FailoverStatus(BaseModel):
    """The failover manager of the RT process now."""

    manual_intervention: str | None = Field(description="Why nothing is restarted any more")
    manual_intervention_since: str | None
    restarts_in_window: int
    max_restart_count: int
    restart_window_sec: int
    failed_checks: int = Field(description="In a row")
    failure_threshold: int
    fault: str | None = Field(description="What is wrong with the RT process now")


class Empty(BaseModel, extra="forbid"):
    """No settings."""


def make_router(context: Context, manager: Manager) -> APIRouter:
    """GET /api/v1/failover and POST /api/v1/failover/reset."""
    router = APIRouter(prefix="/api/v1/failover", tags=["failover"])

    @router.get("", response_model=FailoverStatus)
    def status() -> dict[str, Any]:
        """What the failover manager thinks of the RT process."""
        return manager.status()

    @router.post("/reset", response_model=FailoverStatus)
    def reset(_body: Empty) -> dict[str, Any]:
        """End a manual intervention: restarts are counted from zero, `mxrc up` starts again what
        it had given up. The RT state stays: SAFE_MODE is left by RESUME or RESET.
        """
        manager.reset()
        config = context.config.current
        try:
            request_reset(config.paths.run_dir, config.instance_name)
        except OSError as error:
            context.log.error("The supervisor cannot be told of the reset: %s", error)
        return manager.status()

    return router
