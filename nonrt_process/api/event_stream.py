"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): a response
that goes on for as long as the client listens.

Nothing waits for a client: a stream asks for news when the client has taken what was sent before,
so that what a slow one costs is one message, and the news themselves say what was left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson
from prometheus_client.core import Metric
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nonrt_process.metric_families import Families

MEDIA_TYPE: Final = "text/event-stream"
MAX_STREAMS: Final = 8
KEEP_ALIVE_S: Final = 5.0
SLOW_S: Final = 5.0
"""A client that takes longer than this to take a message is dropped."""
TURN_S: Final = 0.5
"""Longest time until the end of the process is noticed."""
RETRY_MS: Final = 2000


class Message(NamedTuple):
    """An event of the stream; data: JSON-ready."""

    event: str
    data: Mapping[str, Any]


def encode(messages: Iterable[Message]) -> bytes:
    """As the stream has them. JSON by orjson has no line breaks."""
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (one.event.encode(), orjson.dumps(one.data))
        for one in messages
    )


class Streams:
    """Counts the streams and bounds their number. Changed by the server's event loop only."""

    def __init__(self, log: logging.Logger, limit: int = MAX_STREAMS) -> None:
        self.log: Final = log
        self.limit: Final = limit
        self.open = 0
        self.dropped = 0

    def full(self) -> bool:
        """Whether there is no room for another one."""
        return self.open >= self.limit


class StreamMetrics:
    """A source of metrics (Plugin.metrics)."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def collect(self) -> Iterable[Metric]:
        families = Families()
        own = {"process": "non_rt_process"}
        families.gauge("mxrc_http_streams", "Streams of events open now", self._streams.open, own)
        families.counter(
            "mxrc_http_streams_dropped",
            "Streams ended because the client was too slow",
            self._streams.dropped,
            own,
        )
        return families.metrics()


class EventStream(Response):
    """streams: where it is counted from now on; there must be room.

    news: what is to be sent, asked every interval_s. stopping: whether the process ends.
    max_events: the stream ends after so many messages; 0: never.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        streams: Streams,
        news: Callable[[], list[Message]],
        stopping: Callable[[], bool],
        interval_s: float,
        max_events: int = 0,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._news = news
        self._stopping = stopping
        self._interval_s = interval_s
        self._max_events = max_events
        streams.open += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._run(gone, send)
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams.open -= 1
            gone.cancel()

    async def _run(self, gone: asyncio.Future[None], send: Send) -> None:
        loop = asyncio.get_running_loop()
        sent = 0
        body = b"retry: %d\n\n" % RETRY_MS
        spoken = next_look = loop.time()
        while not gone.done():
            now = loop.time()
            ending = self._stopping()
            if now >= next_look or ending:
                messages = self._news()
                if self._max_events:
                    messages = messages[: self._max_events - sent]
                sent += len(messages)
                body += encode(messages)
                next_look = now + self._interval_s
            if ending:
                body += encode([Message("end", {"detail": "the process stops"})])
            elif not body and now - spoken >= KEEP_ALIVE_S:
                body = b": keep-alive\n\n"
            if body:
                if not await self._take(send, body):
                    return
                spoken, body = now, b""
            if ending or (self._max_events and sent >= self._max_events):
                return
            await asyncio.wait({gone}, timeout=min(TURN_S, max(0.0, next_look - loop.time())))

    async def _take(self, send: Send, body: bytes) -> bool:
        """Send; False when the client took too long for it. Also when the server gave it up."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        lasted = loop.time() - begun
        if lasted <= SLOW_S:
            return True
        self._streams.dropped += 1
        detail = f"the client took {lasted:.1f} s for one message, at most {SLOW_S:g} s are allowed"
        self._streams.log.warning("Stream dropped: %s", detail)
        await send(
            {
                "type": "http.response.body",
                "body": encode([Message("end", {"detail": detail})]),
                "more_body": True,
            }
        )
        return False


async def _gone(receive: Receive) -> None:
    """Until the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
