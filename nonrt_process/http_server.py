"""An HTTP server in a thread of its own, bounded against slow and many clients."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import uvicorn

from nonrt_process.http_limit import MAX_REQUESTS, RequestLimit
from nonrt_process.http_protocol import BoundedProtocol
from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, ProcessName
from shared.startup import EX_TEMPFAIL, Refused

MAX_CONNECTIONS: Final = 1536
OTHER_FILES: Final = 512
"""Descriptors that the rest of the process may need."""
KEEP_ALIVE_S: Final = 15
STOP_TIMEOUT_S: Final = 3
PORTS_TRIED: Final = 64
BACKLOG: Final = 2048


# Its warnings can be had by anybody who sends garbage.
logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def bind(host: str, port: int, *, fallback: bool, what: str, log: logging.Logger) -> socket.socket:
    """A listening socket on `port`, or with `fallback` on the next free one above it (and says so).

    Raises:
        Refused: the address is not this machine's, or the port (without fallback, or all
            that were tried) is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = min(65535, port + PORTS_TRIED) if fallback and port else port
    for candidate in range(port, last + 1):
        # asyncio turns Nagle's algorithm off for sockets only that name their protocol.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


class _Server(uvicorn.Server):
    """One that ends by itself when the process begins to stop, beside the others of it."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stopping.is_set()


class HttpServer:
    """Serves an ASGI application on a bound socket; `start` returns once it accepts.

    stopping: once it is set the server ends; `stop` waits for that.
    """

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        name: str,
        stopping: threading.Event | None = None,
    ) -> None:
        self._listener = listener
        self._name = name
        room = _room_for_connections()
        self._server = _Server(
            uvicorn.Config(
                RequestLimit(app, MAX_REQUESTS),
                http=type("Protocol", (BoundedProtocol,), {"max_connections": room}),
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            ),
            stopping or threading.Event(),
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


def _room_for_connections() -> int:
    """MAX_CONNECTIONS, or fewer where the limit of open files says so; raises the soft limit.

    The protocol takes up to twice as many for a moment.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_CONNECTIONS
    return max(16, (soft - OTHER_FILES) // 2)


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
