"""The HTTP server: ports, slow clients, many clients."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nonrt_process import http_server
from nonrt_process.http_server import HttpServer, bind
from shared.startup import EX_TEMPFAIL, Refused

LOG = logging.getLogger("nonrt.test.http")


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, answers with its length."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setattr(http_server, "REQUEST_TIMEOUT_S", 0.5)
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 8)
    server = HttpServer(hello, bind("127.0.0.1", 0, fallback=True, what="t", log=LOG), "test")
    server.start()
    yield server
    server.stop()
    assert not server.alive()


def connect(server: HttpServer) -> socket.socket:
    return socket.create_connection(server.address, timeout=20)


def is_dropped(client: socket.socket) -> bool:
    """Whether the server ends the connection (within the socket's timeout)."""
    try:
        return client.recv(1000) == b""
    except ConnectionResetError:
        return True


def url(server: HttpServer) -> str:
    host, port = server.address
    return f"http://{host}:{port}/"


def test_it_serves_and_keeps_connections(server: HttpServer) -> None:
    with httpx.Client() as client:
        for _ in range(3):
            assert client.post(url(server), content=b"abc").text == "3"
        time.sleep(1.2)  # longer than a request may take: an idle connection is no slow request
        assert client.post(url(server), content=b"abcd").text == "4"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    ],
)
def test_a_slow_client_is_dropped(server: HttpServer, sent: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        assert is_dropped(client)


def test_dripping_bytes_does_not_help(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        client.settimeout(0.05)
        deadline = time.monotonic() + 20
        while True:
            assert time.monotonic() < deadline, "the client is still served"
            try:
                client.sendall(b"x-a: b\r\n")
                if client.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break


def test_connections_are_bounded_and_come_back(server: HttpServer) -> None:
    clients = [connect(server) for _ in range(30)]
    assert sum(is_dropped(client) for client in clients[8:]) == 22
    for client in clients:
        client.close()
    deadline = time.monotonic() + 20
    while True:
        try:
            assert httpx.get(url(server)).text == "0"
            break
        except httpx.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_taken_port_gives_the_next_free_one_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with bind("127.0.0.1", 0, fallback=True, what="t", log=LOG) as first:
        taken = first.getsockname()[1]
        with bind("127.0.0.1", taken, fallback=True, what="HTTP", log=LOG) as second:
            used = second.getsockname()[1]
        assert used > taken
        assert f"HTTP: port {taken} is taken, using {used}" in caplog.text
        with pytest.raises(Refused, match=f"port {taken}") as caught:
            bind("127.0.0.1", taken, fallback=False, what="HTTP", log=LOG)
        assert caught.value.status == EX_TEMPFAIL


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Refused, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0, fallback=True, what="HTTP", log=LOG)
