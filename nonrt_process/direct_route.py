"""A route whose requests pass FastAPI by, for what is asked for thousands of times a second.

FastAPI's way to a handler (routing, dependencies, two stacks of contexts, the response model) takes
several times as long as a start of a task. A DirectRoute is documented as any other route, and
guards, limits, spans and problem documents are those of all: only the way between is shorter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi.routing import APIRoute
from starlette.types import Scope


class Answer(NamedTuple):
    """content: JSON. headers: beyond its length and type, names in lower case."""

    content: bytes
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


DirectHandler = Callable[[Scope, bytes], Awaitable[Answer]]
"""From a request and its body (a GET has none) to the answer; raises what any handler may raise."""


class DirectRoute(APIRoute):
    """A route without parameters in its path. Override `direct`."""

    def direct(self) -> DirectHandler:
        """What answers its requests."""
        raise NotImplementedError
