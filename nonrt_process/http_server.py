"""An HTTP server in a thread of its own, bounded against slow and many clients.

uvicorn bounds requests, not connections and not the time that a client takes to send one; the
protocol class here adds both.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, ProcessName
from shared.startup import EX_TEMPFAIL, Refused

MAX_CONNECTIONS: Final = 256
MAX_REQUESTS: Final = 128
HEADER_BYTES: Final = 16 * 1024
REQUEST_TIMEOUT_S: Final = 10.0
KEEP_ALIVE_S: Final = 15
STOP_TIMEOUT_S: Final = 3
PORTS_TRIED: Final = 64
BACKLOG: Final = 128


# Its warnings can be had by anybody who sends garbage.
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that drops a client that takes longer than REQUEST_TIMEOUT_S to send a request or to
    take its answer, and every connection beyond MAX_CONNECTIONS.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._watch()

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(REQUEST_TIMEOUT_S, self._check)

    def _check(self) -> None:
        cycle: Any = self.cycle  # None before the first request
        answering = cycle is not None and not cycle.response_complete and not cycle.more_body
        idle = cycle is not None and cycle.response_complete and self.timeout_keep_alive_task
        if idle or (answering and self.transport.get_write_buffer_size() == 0):
            self._watch()
            return
        self.transport.abort()


def bind(host: str, port: int, *, fallback: bool, what: str, log: logging.Logger) -> socket.socket:
    """A listening socket on `port`, or with `fallback` on the next free one above it (and says so).

    Raises:
        Refused: the address is not this machine's, or the port (without fallback, or all
            that were tried) is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = min(65535, port + PORTS_TRIED) if fallback and port else port
    for candidate in range(port, last + 1):
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, candidate))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE and candidate < last:
                continue
            reason = f"{what}: cannot listen on {host} port {candidate}: {error.strerror}"
            remedy = (
                "set another port, or port_fallback true, in api.json"
                if error.errno == errno.EADDRINUSE
                else "check host and port in api.json"
            )
            raise Refused(f"{reason}; {remedy}", EX_TEMPFAIL) from error
        listener.setblocking(False)
        if candidate != port:
            log.warning("%s: port %d is taken, using %d", what, port, candidate)
        return listener
    raise AssertionError("unreachable")


class HttpServer:
    """Serves an ASGI application on a bound socket; `start` returns once it accepts."""

    def __init__(self, app: Any, listener: socket.socket, name: str) -> None:
        self._listener = listener
        self._name = name
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=MAX_REQUESTS,
                h11_max_incomplete_event_size=HEADER_BYTES,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            )
        )
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port in force."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is under way, then end; at most a few seconds."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S + 2)
        self._listener.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))


class ServerCheck:
    """Health check of a server of this process."""

    process: Final[ProcessName] = "non_rt_process"

    def __init__(self, name: str, alive: Callable[[], bool]) -> None:
        self.name: Final = name
        self._alive = alive

    def check(self, _now_ns: int) -> Finding:
        if self._alive():
            return HEALTHY
        return Finding(HealthStatus.UNHEALTHY, f"the {self.name} ended; restart mxrc-nonrt")
