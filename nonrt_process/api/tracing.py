"""A server span around each request: W3C headers in, span, traceparent out; and a request id.

The id is the caller's X-Request-Id if it has one that is fit for a log, else a new one. Log
lines of the request carry it as http.request.id, the answer returns it.

With the traces plugin the span is recorded; without it the trace is carried on all the same.
Handlers find the context of the span with `interfaces.current_trace`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nonrt_process.interfaces import ServerSpan, ServerTracer, request_id
from shared.trace_context import (
    Propagated,
    TraceContext,
    extract,
    format_tracestate,
    generate_trace_id,
    inject,
    start_span,
)

REQUEST_ID = "x-request-id"
_FIT_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_CARRY = frozenset({b"traceparent", b"tracestate", b"baggage"})
_NOTHING = Propagated()
_UNTRACED = ("/health", "/metrics", "/favicon.ico")


class _PlainSpan:
    """Carries the trace on without recording anything."""

    def __init__(self, context: TraceContext) -> None:
        self.context = context

    def end(self, route: str | None, status_code: int, error: BaseException | None = None) -> None:
        pass


class Tracing:
    """ASGI middleware. tracer is asked at each request; threshold(path): of root traces."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tracer: Callable[[], ServerTracer | None],
        threshold: Callable[[str], int],
    ) -> None:
        self._app = app
        self._tracer = tracer
        self._threshold = threshold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carried = _carried(scope["headers"])
        span = self._start(scope, carried)
        scope.setdefault("state", {})["trace"] = span.context
        scope["state"]["propagated"] = carried
        answer = inject(span.context, carried.tracestate, carried.baggage)
        answer[REQUEST_ID] = _request_id(scope["headers"])
        token = request_id.set(answer[REQUEST_ID])
        status = 500
        ended = False

        async def add_headers(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    *((key.encode(), value.encode("latin-1")) for key, value in answer.items()),
                ]
                if _is_stream(message):
                    # It may go on for hours: what is measured is the time to its begin.
                    ended = True
                    span.end(_route(scope), status)
            await send(message)

        try:
            await self._app(scope, receive, add_headers)
        except BaseException as error:
            if not ended:
                span.end(_route(scope), 500, error)
            raise
        finally:
            request_id.reset(token)
        if not ended:
            span.end(_route(scope), status)

    def _start(self, scope: Scope, carried: Propagated) -> ServerSpan:
        tracer = None if scope["path"].startswith(_UNTRACED) else self._tracer()
        if tracer is None:
            return _PlainSpan(start_span(carried.context, self._threshold(scope["path"])))
        client, server = scope.get("client"), scope.get("server")
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope.get("http_version", "1.1"),
        }
        if client:
            attributes["client.address"] = client[0]
        if server:
            attributes["server.address"] = server[0]
            if server[1] is not None:
                attributes["server.port"] = server[1]
        return tracer.start(
            scope["method"],
            scope["path"],
            carried.context,
            attributes,
            format_tracestate(carried.tracestate),
        )


def _carried(headers: Iterable[tuple[bytes, bytes]]) -> Propagated:
    found = [
        (key.decode("latin-1"), value.decode("latin-1")) for key, value in headers if key in _CARRY
    ]
    return extract(found) if found else _NOTHING


def _is_stream(start: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start["headers"]
    )


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == REQUEST_ID.encode() and _FIT_ID.fullmatch(value):
            return value.decode()
    return generate_trace_id().hex()


def _route(scope: Scope) -> str | None:
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None
