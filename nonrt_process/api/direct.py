"""Answers the DirectRoutes before FastAPI's stack; see nonrt_process.direct_route."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nonrt_process.api.guards import SAFE_METHODS
from nonrt_process.api.problems import answer_to
from nonrt_process.direct_route import DirectRoute


class Direct:
    """ASGI middleware: DirectRoutes are answered here, all else by `app`."""

    def __init__(self, app: ASGIApp, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): (route, route.direct())
            for router in routers
            for route in router.routes
            if isinstance(route, DirectRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = scope["type"] == "http" and self._routes.get((scope["method"], scope["path"]))
        if not found:
            await self._app(scope, receive, send)
            return
        route, handler = found
        scope["route"] = route
        body = b"" if scope["method"] in SAFE_METHODS else await _read(receive)
        if body is None:  # too slow, or gone: nobody reads this answer
            await Response(status_code=400)(scope, receive, send)
            return
        try:
            content, status, more = await handler(scope, body)
        except Exception as error:
            answer = answer_to(error, scope["method"], scope["path"])
            await answer(scope, receive, send)
            if answer.status_code == 500:
                raise
            return
        length = str(len(content)).encode()
        headers = [(b"content-length", length), (b"content-type", b"application/json"), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None: the client went before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
