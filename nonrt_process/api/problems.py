"""Every error is an application/problem+json document (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nonrt_process.interfaces import Problem
from nonrt_process.problem_document import phrase, problem_response

log = logging.getLogger("nonrt.api")


class ProblemDocument(BaseModel):
    """What went wrong with a request (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field("about:blank", description="URI of the kind of problem")
    title: str = Field(description="The kind of problem in words")
    status: int = Field(description="The HTTP status")
    detail: str = Field(description="What was wrong with this request, and what to do")
    instance: str = Field(description="Path of the request")


_DETAILS = {
    404: "there is nothing at this path; GET /openapi.json lists what there is",
    405: "this path does not know this method",
}


def _invalid(error: Mapping[str, Any]) -> dict[str, str]:
    if error["type"] == "json_invalid":
        reason = error.get("ctx", {}).get("error", "cannot be parsed")
        return {"field": "body", "message": f"not JSON: {reason} at byte {error['loc'][-1]}"}
    return {"field": ".".join(str(part) for part in error["loc"]), "message": str(error["msg"])}


def answer_to(error: Exception, method: str, path: str) -> Response:
    """The problem document for what a handler has raised; 500 for what it may not raise."""
    if isinstance(error, Problem):
        return problem_response(
            error.status,
            error.title,
            error.detail,
            path,
            headers=error.headers,
            extensions=error.extensions,
        )
    if isinstance(error, RequestValidationError):
        problems = [_invalid(one) for one in error.errors()]
        first = problems[0] if problems else {"field": "request", "message": "is not valid"}
        detail = f"{first['field']}: {first['message']}"
        return problem_response(
            422, "Invalid request", detail, path, extensions={"errors": problems}
        )
    log.error("%s %s failed: %s", method, path, error, exc_info=error)
    detail = "a fault of this service; see non_rt_process.log"
    return problem_response(500, phrase(500), detail, path)


def install(app: FastAPI, allowed: Callable[[str], str]) -> None:
    """Answer every kind of error with a problem document. allowed: methods that a path knows."""

    async def on_raised(request: Request, error: Exception) -> Response:
        return answer_to(error, request.method, request.url.path)

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status, path = error.status_code, request.url.path
        title = phrase(status)
        detail = str(error.detail)
        if detail in ("", title):
            detail = _DETAILS.get(status, title)
        headers = dict(error.headers or {})
        if status == 405:  # Starlette names the methods of one route only
            headers["Allow"] = allowed(path)
        return problem_response(status, title, detail, path, headers=headers)

    app.add_exception_handler(HTTPException, on_http_exception)
    for kind in (Problem, RequestValidationError, Exception):
        app.add_exception_handler(kind, on_raised)
