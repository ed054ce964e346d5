"""HTTP/1.1 on one connection, bounded in time and in bytes against slow and hostile clients.

uvicorn bounds neither how long a client takes to send a request or to read its answer, nor the size
of a head, nor how many requests are sent ahead of their answers.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nonrt_process.http_limit import READ_OFF_BYTES, READ_OFF_S
from nonrt_process.problem_document import phrase, problem_response

HEAD_BYTES: Final = 16 * 1024
"""Request line and headers together; trailers and the framing of chunks as well."""
PIECE_BYTES: Final = 4096
"""Parsed at a time, which bounds how many requests sent ahead of their answers are unpacked."""
AHEAD_BYTES: Final = 1 << 20
"""Held unparsed until those before it are answered."""
REQUEST_TIMEOUT_S: Final = 10.0
HURRY_S: Final = 1.0
"""When connections are scarce, one that has not sent its request after this time is dropped."""
ROOM_MADE: Final = 32
FRAMING_PER_BODY_BYTE: Final = 8
"""A body sent byte by byte in chunks of its own has less framing than this."""


class _RefusedError(Exception):
    """The request is not read any further."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BoundedProtocol(HttpToolsProtocol):
    """Drops a client that takes longer than REQUEST_TIMEOUT_S to send a request, or takes nothing
    of its answer for as long; answers a head that is too large, and what is no HTTP, with a problem
    document.

    max_connections: beyond it those are closed that have been idle, or have not sent their request,
    for the longest time. Beyond twice as many the newest is dropped.
    """

    max_connections = 1024

    _timer: asyncio.TimerHandle | None = None
    _refusal: _RefusedError | None = None
    _head = True
    _ahead = b""
    _taken = 0
    _body = 0
    _since = 0.0
    """When it was made, its last answer given or its request begun; of the loop's clock."""
    _working: Any = None
    """The request that is being answered; uvicorn's `cycle` is the one that was parsed last."""
    _unsent = 0
    """Of the answers, in bytes, at the last look."""
    _untaken_since: float | None = None
    """Since when the client is known to have taken none of them."""
    _refused = False
    """Nothing more is parsed: what still comes is thrown away."""
    _ended = False
    """The last answer is written; what is left is to let the client read it."""
    _thrown_away = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > 2 * self.max_connections:
            transport.abort()
            return
        self._watch()
        if len(self.connections) > self.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)
        working = self._working
        if working is not None and not working.response_complete:
            working.disconnected = True
            working.message_event.set()

    # ---- bytes ---------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._thrown_away += len(data)
            if self._thrown_away > READ_OFF_BYTES:
                self.transport.abort()
            return
        self._ahead += data
        self._parse()

    def _parse(self) -> None:
        """What has come, piece by piece, unless requests wait for their turn already."""
        while self._ahead and not self.pipeline and not self.transport.is_closing():
            piece, self._ahead = self._ahead[:PIECE_BYTES], self._ahead[PIECE_BYTES:]
            self._taken += len(piece)
            super().data_received(piece)
            overhead = self._taken - self._body
            if overhead > HEAD_BYTES + FRAMING_PER_BODY_BYTE * self._body:
                self._refuse_unread()
        if self._ahead:
            self.flow.pause_reading()
            if len(self._ahead) > AHEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._head, self._taken, self._body = True, 0, 0
        self._since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES:
            self._refuse(431, f"the head has {size} bytes, at most {HEAD_BYTES} are allowed")
        self._head, self._taken = False, 0
        super().on_headers_complete()
        if not self.pipeline:
            self._working = self.cycle

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head:  # what comes later is a trailer, which nothing here reads
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """What could not be parsed, or was refused while it was. Whole requests before it are
        answered first.
        """
        self._refused, self._ahead = True, b""
        cycle = self.cycle
        if self.pipeline and self.pipeline[0][0] is cycle and cycle.more_body:
            self.pipeline.popleft()  # the broken one never starts
            self.cycle = self.pipeline[0][0] if self.pipeline else self._working
            return  # on_response_complete goes on with it
        if cycle is None or cycle.response_complete:
            self._end()
        elif self._answering():
            return  # on_response_complete goes on with it
        elif cycle.response_started:
            self.transport.abort()
        else:
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False  # nothing is written behind the last answer
            cycle.message_event.set()
            self._end()

    def _end(self) -> None:
        """Say why, and close when the client has read it: a connection that is closed with unread
        bytes in it is reset, and the answer lost.
        """
        self._ended = True
        self._unset_keepalive_if_required()
        refusal = self._refusal or _RefusedError(400, "this is no HTTP/1.1 request")
        answer = problem_response(
            refusal.status,
            phrase(refusal.status),
            refusal.detail,
            "about:blank",
            headers={"Connection": "close"},
        )
        lines = [f"HTTP/1.1 {refusal.status} {phrase(refusal.status)}\r\n".encode()]
        lines += [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
        self.transport.write(b"".join([*lines, b"\r\n", bytes(answer.body)]))
        try:
            self.transport.write_eof()
        except OSError:  # the client has gone
            self.transport.abort()
            return
        self.flow.resume_reading()
        self._watch(READ_OFF_S)

    def _refuse(self, status: int, detail: str) -> None:
        """Out of the parser: it ends in send_400_response."""
        self._refusal = _RefusedError(status, detail)
        raise self._refusal

    def _refuse_unread(self) -> None:
        if self.transport.is_closing() or self._refused:
            return
        what = "head" if self._head else "trailers and the framing of the body"
        self._refusal = _RefusedError(
            431 if self._head else 400, f"{what}: more than the {HEAD_BYTES} bytes that are allowed"
        )
        self.send_400_response("")

    # ---- time ----------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        waiting = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if waiting is not None and not self.transport.is_closing():
            self._working = waiting
        self._since = self.loop.time()
        if self.transport.is_closing():
            return
        self._watch()
        if self._refused and not self._answering():
            self._end()
        self._parse()

    def resume_writing(self) -> None:
        self._untaken_since = None
        super().resume_writing()

    def _watch(self, seconds: float | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = REQUEST_TIMEOUT_S if seconds is None else seconds
        self._timer = self.loop.call_later(seconds, self._check)

    def _check(self) -> None:
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent == 0:
            self._untaken_since = None
        elif self._untaken_since is None or unsent < self._unsent:
            self._untaken_since = now
        elif now - self._untaken_since >= REQUEST_TIMEOUT_S:
            self.transport.abort()
            return
        self._unsent = unsent
        left = self._since + REQUEST_TIMEOUT_S - now
        if self._ended:
            if unsent == 0:
                self.transport.abort()
            else:
                self._watch(READ_OFF_S)
        elif left > 0:
            self._watch(left)
        elif self._idle() or self._answering() or self.pipeline or self.transport.is_closing():
            self._watch()
        else:
            self.transport.abort()

    def _answering(self) -> bool:
        """Whether it is not the client's turn."""
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _idle(self) -> bool:
        """Between two requests; uvicorn ends it after the keep-alive time."""
        return self.timeout_keep_alive_task is not None

    def _expendable(self) -> bool:
        """Whether no request of it is being worked on, though it has had the time to send one."""
        waiting = self.cycle is not None and not self.cycle.response_complete
        late = not waiting and self.loop.time() - self._since > HURRY_S
        return self._ended or self._idle() or late

    def _make_room(self) -> None:
        """Several at once: the look at all connections is not repeated for each new one."""
        others = (one for one in self.connections if isinstance(one, BoundedProtocol))
        chosen = sorted((one for one in others if one._expendable()), key=lambda one: one._since)
        for one in chosen[:ROOM_MADE]:
            one.transport.close() if one._idle() else one.transport.abort()
