"""How many requests are worked on at once: those beyond are told to come again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from nonrt_process.problem_document import problem_response

MAX_REQUESTS: Final = 1280
"""1,000 clients that start a task at the same moment are all accepted."""
ALWAYS: Final = ("/health", "/metrics")
"""What watches this service is answered however busy it is."""
READ_OFF_BYTES: Final = 1 << 20
READ_OFF_S: Final = 0.5


class RequestLimit:
    """ASGI middleware: 503 with Retry-After beyond `limit` requests."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ALWAYS):
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._limit:
            await self._refuse(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_off(receive)
        response = problem_response(
            503,
            "Too many requests at once",
            f"{self._limit} requests are being worked on: try again",
            scope["path"],
            headers={"Retry-After": "1"},
        )
        await response(scope, receive, send)


async def read_off(receive: Receive) -> None:
    """Read a refused body, within limits.

    Closing a connection with unread bytes in it resets it, and the client may lose the answer.
    """
    taken = 0
    with suppress(asyncio.TimeoutError):
        while taken < READ_OFF_BYTES:
            message = await asyncio.wait_for(receive(), READ_OFF_S)
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            taken += len(message.get("body", b""))
