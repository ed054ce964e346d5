"""HTTP of the tasks: start, list, look, cancel."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Path, Query, Request, status
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Scope

from nonrt_process.arrivals import arrival
from nonrt_process.direct_route import Answer, DirectHandler, DirectRoute
from nonrt_process.interfaces import Accepted, TaskMode, TaskStatus, current_trace
from nonrt_process.tasks.service import Tasks
from shared.config.models.names import TaskId
from shared.config.models.tasks import ParameterValue
from shared.trace_context import Propagated, format_baggage, format_tracestate

KEY_PATTERN = "^[!-~]{1,255}$"
_KEY = re.compile(KEY_PATTERN)
_PROBLEM = {"description": "Problem document"}
_STEERING: dict[int | str, dict[str, Any]] = dict.fromkeys((404, 409, 429, 503, 504), _PROBLEM)


class StartRequest(BaseModel):
    """What to start."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task_id: TaskId = Field(description="The caller's name for this task; unique while active")
    mode: TaskMode = Field(description="once, periodic (the definition's period) or triggered")
    definition: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        None, description="What to run: id of a definition. Default: task_id, else by pattern"
    )
    parameters: Annotated[dict[str, ParameterValue], Field(max_length=64)] = Field(
        default_factory=dict, description="Values for parameters that the definition names"
    )


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=KEY_PATTERN,
        description="Chosen by the client, new for each task, such as a UUID",
    ),
]


class Started(BaseModel):
    """The task is durable: it survives a crash of either process."""

    task_id: str
    execution_id: int = Field(description="Names this execution for ever; positive, 63 bits")
    trace_id: str = Field(description="32 hex digits")


class Task(BaseModel):
    """An execution. step, action, runs: where it is, or where it ended."""

    task_id: str
    execution_id: int
    definition: str
    mode: TaskMode
    parameters: dict[str, ParameterValue]
    priority: int
    status: TaskStatus
    trace_id: str
    accepted_at: str
    started_at: str | None
    ended_at: str | None
    cancel_requested: bool
    error: str | None = Field(description="Why it failed, or was cancelled unasked")
    step: int | None = Field(description="Index of the action, from 0")
    action: str | None = Field(None, description="Name of the action in progress")
    runs: int | None = Field(None, description="Runs finished, of a periodic task")
    progress: float | None = Field(
        None, description="Per cent of the run, as planned, at the begin of the action in progress"
    )
    paused: bool | None = Field(None, description="It is held until it is resumed")
    waiting_for: list[str] | None = Field(None, description="Tasks that hold axes it needs")


class TaskPage(BaseModel):
    """A page of tasks, newest first."""

    tasks: list[Task]
    total: int = Field(description="Tasks in all pages")
    offset: int
    limit: int


def _key(scope: Scope) -> str | None:
    """The Idempotency-Key."""
    for name, value in scope["headers"]:
        if name == b"idempotency-key":
            key = str(value, "latin-1")
            if _KEY.fullmatch(key) is None:
                fault = {"type": "value_error", "loc": ("header", "idempotency-key")}
                message = "1 to 255 printable ASCII characters are allowed"
                raise RequestValidationError([{**fault, "msg": message, "input": key}])
            return key
    return None


def _parse(body: bytes) -> StartRequest:
    with suppress(ValidationError):
        return StartRequest.model_validate_json(body)
    # Once more in steps, for words that name the place.
    try:
        return StartRequest.model_validate(json.loads(body))
    except UnicodeDecodeError as error:
        raise RequestValidationError([_not_json("it is not UTF-8", error.start)]) from error
    except json.JSONDecodeError as error:
        raise RequestValidationError([_not_json(error.msg, error.pos)]) from error
    except ValidationError as error:
        faults = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(faults) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 1,000 brackets
        raise RequestValidationError([_not_json(str(error), 0)]) from error


def _not_json(reason: str, position: int) -> dict[str, Any]:
    loc = ("body", position)
    return {"type": "json_invalid", "loc": loc, "msg": reason, "ctx": {"error": reason}}


def make_router(tasks: Tasks) -> APIRouter:
    """Routes on a task service. Handlers but the start wait for the disk in the thread pool."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"])

    async def accept(body: StartRequest, scope: Scope, key: str | None) -> Accepted:
        state = scope["state"]
        carried: Propagated = state["propagated"]
        return await arrival(
            tasks.start(
                body.task_id,
                body.mode,
                body.definition,
                body.parameters,
                state["trace"],
                tracestate=format_tracestate(carried.tracestate) if carried.tracestate else "",
                baggage=format_baggage(carried.baggage)[0] if carried.baggage else "",
                key=key,
            )
        )

    async def start_task(
        body: StartRequest,
        request: Request,
        idempotency_key: IdempotencyKey = None,
    ) -> Accepted:
        """Accept a task. The answer comes when it is on disk; it runs as soon as RT has room.

        A request that is sent again with the same Idempotency-Key starts nothing more and gets the
        answer of the first one, for as long as the execution is kept.
        """
        return await accept(body, request.scope, idempotency_key)

    class StartRoute(DirectRoute):
        """A start is what a client does most."""

        def direct(self) -> DirectHandler:
            async def handle(scope: Scope, body: bytes) -> Answer:
                accepted = await accept(_parse(body), scope, _key(scope))
                return Answer(orjson.dumps(accepted), status.HTTP_202_ACCEPTED)

            return handle

    router.add_api_route(
        "/task/start",
        start_task,
        methods=["POST"],
        status_code=status.HTTP_202_ACCEPTED,
        response_model=Started,
        responses=dict.fromkeys((404, 409, 429, 503), _PROBLEM),
        route_class_override=StartRoute,
    )

    @router.get("/tasks", response_model=TaskPage, response_model_exclude_unset=True)
    def list_tasks(
        offset: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        status: TaskStatus | None = None,
    ) -> dict[str, Any]:
        """Tasks, newest first; finished ones are kept 30 days."""
        return tasks.list(offset, limit, status)

    @router.get(
        "/tasks/{task_id}",
        response_model=Task,
        response_model_exclude_unset=True,
        responses={404: _PROBLEM},
    )
    def get_task(task_id: Annotated[str, Path(max_length=63)]) -> dict[str, Any]:
        """The newest execution of a task id."""
        return tasks.get(task_id)

    @router.delete(
        "/tasks/{task_id}",
        status_code=status.HTTP_202_ACCEPTED,
        response_model=Task,
        response_model_exclude_unset=True,
        responses=dict.fromkeys((404, 409, 503), _PROBLEM),
    )
    def cancel_task(task_id: Annotated[str, Path(max_length=63)]) -> dict[str, Any]:
        """Cancel a task. One that RT has begun ends within a cycle or two."""
        return tasks.cancel(task_id)

    @router.post(
        "/tasks/{task_id}/pause",
        response_model=Task,
        response_model_exclude_unset=True,
        responses=_STEERING,
    )
    def pause_task(
        task_id: Annotated[str, Path(max_length=63)], request: Request
    ) -> dict[str, Any]:
        """Hold a task: its axes stop within their limits and stay its own."""
        return tasks.pause(task_id, current_trace(request))

    @router.post(
        "/tasks/{task_id}/resume",
        response_model=Task,
        response_model_exclude_unset=True,
        responses=_STEERING,
    )
    def resume_task(
        task_id: Annotated[str, Path(max_length=63)], request: Request
    ) -> dict[str, Any]:
        """Let a paused task go on."""
        return tasks.resume(task_id, current_trace(request))

    return router
