"""GET /health, /health/ready, /health/live, /health/details."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.datastructures import QueryParams
from starlette.types import Scope

from nonrt_process.context import Context
from nonrt_process.direct_route import Answer, DirectHandler, DirectRoute
from nonrt_process.health.answers import HealthAnswers
from nonrt_process.health.documents import HealthDocuments
from nonrt_process.health.registry import SERVING, Registry
from nonrt_process.interfaces import PROCESSES, HealthStatus, ProcessName


class Health(BaseModel):
    """State of one process."""

    status: str = Field(description="STOPPED, STARTING, HEALTHY, DEGRADED, UNHEALTHY, STOPPING")
    process_name: str
    pid: int | None = Field(description="null: the process does not run")
    last_heartbeat: str | None = Field(description="RFC 3339, UTC, milliseconds")
    response_time_ms: float = Field(description="Time that this answer took to make")
    cpu_usage_percent: float | None = Field(description="Of one CPU, since the last look")
    memory_usage_mb: float | None = Field(description="Resident, in MiB")
    deadline_miss_count: int
    restart_count: int
    error_message: str = Field(description="Every reason why it is not HEALTHY")


class Ready(BaseModel):
    """Whether both processes can do their work."""

    ready: bool
    message: str
    details: dict[str, bool] = Field(description="Each health check: passed (perhaps DEGRADED)")


class Live(BaseModel):
    """The process answers."""

    alive: bool
    uptime_seconds: float
    last_activity: str = Field(description="Last heartbeat; RFC 3339")


class ProcessInfo(BaseModel):
    name: str
    pid: int | None
    start_time: str | None
    uptime_seconds: float | None


class CpuAffinity(BaseModel):
    configured_cores: list[int] | str
    current_core: int | None
    isolation_mode: str = Field(description="The mode really in force, where it is known")


class NumaBinding(BaseModel):
    numa_node: int | None = Field(description="Node of the current core")
    memory_policy: str
    local_memory_percent: float | None = Field(description="null: not measured")


class RtPerformance(BaseModel):
    cycle_count: int
    deadline_miss_count: int
    deadline_miss_rate: float = Field(description="0..1 over the last 10,000 slots")
    avg_cycle_time_us: float | None = Field(description="Of this generation")
    max_cycle_time_us: float | None = Field(description="Of this generation")
    jitter_us: float | None = Field(description="Mean over the last second")
    spin_margin_us: float | None = Field(
        description="Spun before each slot: as configured, or what auto has come to; null where "
        "wait.mode is not hybrid"
    )


class EntryPerformance(BaseModel):
    """A part of every cycle, or an entry of the schedule; of this generation."""

    name: str
    slot: int
    run: str
    criticality: str
    period_us: float
    phase_us: float
    wcet_us: float | None = Field(description="Declared; null: not")
    runs: int
    mean_us: float
    p99_us: float
    max_us: float
    exceeded: int = Field(description="Runs that took longer than declared")
    shed: int = Field(description="Runs left out after a late cycle")
    skipped: int = Field(description="Runs whose slot was skipped")
    faults: int = Field(description="Runs that failed")


class Failover(BaseModel):
    restart_count: int
    last_checkpoint: str | None
    checkpoint_age_seconds: float | None


class Details(BaseModel):
    """Everything about one process."""

    process_info: ProcessInfo
    cpu_affinity: CpuAffinity
    numa_binding: NumaBinding
    rt_performance: RtPerformance | None = Field(description="null: not the RT process")
    entries: list[EntryPerformance] | None = Field(description="null: not the RT process")
    failover: Failover


def _try_again(response: Response) -> None:
    response.status_code = 503
    response.headers["Retry-After"] = "1"


def _process(query: bytes) -> ProcessName:
    """The parameter `process`."""
    if not query:
        return "rt_process"
    given = QueryParams(query).get("process", "rt_process")
    for known in PROCESSES:
        if given == known:
            return known
    allowed = " or ".join(repr(one) for one in PROCESSES)
    fault = {"type": "literal_error", "loc": ("query", "process"), "input": given}
    raise RequestValidationError([{**fault, "msg": f"Input should be {allowed}"}])


def make_router(context: Context, registry: Registry, documents: HealthDocuments) -> APIRouter:
    """The health endpoints; all of them are quick and need no worker thread."""
    router = APIRouter(tags=["health"])
    unwell: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "Not serving"}}
    unready: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "Not ready"}}

    answers = HealthAnswers(context, registry, documents)

    async def health(process: ProcessName = "rt_process") -> dict[str, Any]:
        """200 when the process is HEALTHY or DEGRADED, else 503.

        An answer is at most 50 ms old; RT's state and who is PRIMARY are those of this moment.
        """
        return answers.body(process)

    class HealthRoute(DirectRoute):
        """It has to be quick beside thousands of other requests."""

        def direct(self) -> DirectHandler:
            async def handle(scope: Scope, _body: bytes) -> Answer:
                body = answers.body(_process(scope["query_string"]))
                if HealthStatus[body["status"]] in SERVING:
                    return Answer(orjson.dumps(body))
                return Answer(orjson.dumps(body), 503, ((b"retry-after", b"1"),))

            return handle

    router.add_api_route(
        "/health",
        health,
        methods=["GET"],
        response_model=Health,
        responses=unwell,
        route_class_override=HealthRoute,
    )

    @router.get("/health/ready", response_model=Ready, responses=unready)
    async def ready(response: Response) -> dict[str, Any]:
        """200 when both processes can do their work, else 503."""
        reports = {process: registry.report(process) for process in PROCESSES}
        is_ready = all(report.status in SERVING for report in reports.values())
        if not is_ready:
            _try_again(response)
        return {
            "ready": is_ready,
            "message": "; ".join(
                f"{process} {report.status.name}"
                + (f": {report.error_message}" if report.error_message else "")
                for process, report in reports.items()
            ),
            "details": {
                f"{process}.{name}": finding.status in SERVING
                for process, report in reports.items()
                for name, finding in report.checks.items()
            },
        }

    @router.get("/health/live", response_model=Live)
    async def live() -> dict[str, Any]:
        """200 as long as this process answers."""
        heart = context.heart
        return {
            "alive": True,
            "uptime_seconds": round((context.clock.monotonic_ns() - heart.started_ns) / 1e9, 3),
            "last_activity": documents.moment(heart.last_beat_ns),
        }

    @router.get("/health/details", response_model=Details)
    async def details(process: ProcessName = "rt_process") -> dict[str, Any]:
        """Placement, timing, recovery of one process."""
        return documents.details(process)

    return router
