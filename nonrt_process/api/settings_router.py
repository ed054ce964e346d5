"""Log levels and sampling rates at runtime; a change without `minutes` survives a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from nonrt_process.context import Context
from nonrt_process.interfaces import NotKept, ProcessName, RuntimeSettings
from nonrt_process.problem_document import documented
from shared.config.models.logging import Level

MAX_MINUTES = 7 * 24 * 60
ROOTS: Final[Mapping[ProcessName, str]] = {"rt_process": "rt", "non_rt_process": "nonrt"}
"""Logger above all others of a process."""
Rate = Annotated[float, Field(ge=0, le=1, strict=True)]


class Temporary(BaseModel):
    """A level that was set for some time."""

    seconds_left: int
    then: Level | None = Field(description="null: the logger has no level of its own then")


class LogLevels(BaseModel):
    """Levels in force."""

    level: Level
    loggers: dict[str, Level] = Field(description="Loggers (and those below them) of another level")
    rt_loggers: dict[str, Level] = Field(description="What that means for each logger of RT")
    temporary: dict[str, Temporary] = Field(
        description="What is set for some time: by logger, `level` for the general one"
    )


class LogLevelChange(BaseModel):
    """What shall change; the rest stays. With `process`, `level` is that of its loggers only."""

    model_config = ConfigDict(extra="forbid")

    level: Level | None = None
    loggers: dict[str, Level | None] = Field(
        default_factory=dict, description="null: the logger has no level of its own any more"
    )
    process: ProcessName | None = None
    minutes: float | None = Field(
        default=None,
        gt=0,
        le=MAX_MINUTES,
        strict=True,
        description="Left out: lasting, across restarts, too",
    )


class Instrumentation(BaseModel):
    """Which parts make spans."""

    eventbus: bool
    task_executor: bool
    rt_cycle: bool


class Rates(BaseModel):
    """Shares of new traces that are recorded."""

    sampling_rate: float
    task_sampling_rate: float
    rt_cycle_sampling_rate: float


class Sampling(Rates):
    """The rates as they are configured, and what is left of them."""

    instrumentation: Instrumentation
    in_force: Rates = Field(description="What the governor leaves of the configured rates")
    governor_factor: float = Field(description="In force / configured; 1: within the budget")


class SamplingChange(BaseModel):
    """What shall change; the rest stays."""

    model_config = ConfigDict(extra="forbid")

    sampling_rate: Rate | None = None
    task_sampling_rate: Rate | None = None
    rt_cycle_sampling_rate: Rate | None = None


def make_router(context: Context) -> APIRouter:
    """GET and PUT of /api/v1/log-level and /api/v1/tracing/sampling."""
    router = APIRouter(prefix="/api/v1", tags=["settings"])

    def settings() -> RuntimeSettings:
        return context.require(RuntimeSettings)

    @router.get("/log-level", response_model=LogLevels)
    def log_level() -> dict[str, Any]:
        """Levels in force."""
        return settings().log_levels()

    @router.put("/log-level", response_model=LogLevels, responses=documented(NotKept))
    def set_log_level(body: LogLevelChange) -> dict[str, Any]:
        """Change levels, lasting or for some minutes; RT follows in its next cycle."""
        level, entries = body.level, dict(body.loggers)
        if body.process is not None and level is not None:
            entries = {ROOTS[body.process]: level, **entries}
            level = None
        settings().set_log_levels(level, entries, body.minutes)
        return settings().log_levels()

    @router.get("/tracing/sampling", response_model=Sampling)
    def sampling() -> dict[str, Any]:
        """Rates as configured, and those in force: the governor may lower them."""
        return settings().sampling()

    @router.put("/tracing/sampling", response_model=Sampling, responses=documented(NotKept))
    def set_sampling(body: SamplingChange) -> dict[str, Any]:
        """Change rates; RT follows in its next cycle."""
        settings().set_sampling(body.model_dump(exclude_none=True))
        return settings().sampling()

    return router
