"""Answers that are problem documents (RFC 9457), the form of every error over HTTP."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

from nonrt_process.interfaces import Problem

MEDIA_TYPE: Final = "application/problem+json"


def problem_response(
    status: int,
    title: str,
    detail: str,
    instance: str,
    *,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document as an answer."""
    document = {
        **(extensions or {}),
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    return Response(
        orjson.dumps(document, default=str),
        status_code=status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def phrase(status: int) -> str:
    """The standard's words for a status."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def documented(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that raises these."""
    titles: dict[int | str, list[str]] = {}
    for problem in problems:
        titles.setdefault(problem.status, []).append(problem.title)
    return {status: {"description": "; ".join(words)} for status, words in titles.items()}
