"""The HTTP server: ports, slow clients, many clients."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from nonrt_process import http_limit, http_protocol, http_server
from nonrt_process.http_server import HttpServer, bind
from shared.startup import EX_TEMPFAIL, Refused

TOO_LARGE = b"GET / HTTP/1.1\r\nHost: x\r\nx-long: " + b"y" * 2 * http_protocol.HEAD_BYTES

LOG = logging.getLogger("nonrt.test.http")


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, answers with its length; /big with much."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"x" * 262144 if scope["path"] == "/big" else str(length).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before `server`. Only where a client is to be dropped: a pause of the machine drops any."""
    monkeypatch.setattr(http_protocol, "REQUEST_TIMEOUT_S", 0.5)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 8)
    monkeypatch.setattr(http_server, "MAX_REQUESTS", 4)
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
        assert client.post(url(server), content=b"abcd").text == "4"


def test_an_answer_in_two_pieces_is_not_held_back(server: HttpServer) -> None:
    """Else its second piece waits for the client's delayed acknowledgement, some 40 ms."""
    with httpx.Client() as client:
        client.get(url(server))
        (one,) = server._server.server_state.connections
        accepted = one.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    ],
)
def test_a_slow_client_is_dropped(impatient: None, server: HttpServer, sent: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        assert is_dropped(client)


def test_dripping_bytes_does_not_help(impatient: None, server: HttpServer) -> None:
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
    for client in clients:
        client.settimeout(0.1)
    dropped = 0
    for client in clients:
        try:
            dropped += client.recv(1000) == b""
        except TimeoutError:
            pass
        except ConnectionResetError:
            dropped += 1
    assert dropped >= 14, "at most twice MAX_CONNECTIONS"
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


def test_an_idle_connection_makes_room(server: HttpServer) -> None:
    idle = [connect(server) for _ in range(8)]
    for client in idle:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in idle:
        assert b"200" in client.recv(1000)
        time.sleep(0.02)  # the body, if it came apart from the head
    for _ in range(3):
        assert httpx.get(url(server)).text == "0"
    for client in idle:
        read_all(client)  # ends: closed to make room, and not reset
        client.close()


def read_all(client: socket.socket) -> bytes:
    found = b""
    while part := client.recv(65536):
        found += part
    return found


def flood_ends(client: socket.socket, data: bytes) -> bool:
    """Whether the server ends a connection on which `data` is sent again and again."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.sendall(data)
        except OSError:
            return True
        time.sleep(0.001)
    return False


def test_a_head_that_is_too_large_is_refused_in_words(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(TOO_LARGE)
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"application/problem+json" in answer
    with connect(server) as client:
        many = b"".join(b"x-%d: y\r\n" % number for number in range(4000))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 431 ")


def test_a_refused_head_that_goes_on_is_read_off(server: HttpServer) -> None:
    """Else the connection is reset, and the answer lost with it."""
    with connect(server) as client:
        client.sendall(TOO_LARGE)
        wait_for_bytes(client)
        client.sendall(b"y" * 200_000 + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).startswith(b"HTTP/1.1 431 ")


def wait_for_bytes(client: socket.socket) -> None:
    """Until there is something to read, which stays where it is."""
    assert client.recv(1, socket.MSG_PEEK)


def test_what_follows_a_refused_head_is_bounded(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(TOO_LARGE)
        assert flood_ends(client, b"y" * 100_000)


def test_trailers_and_chunk_extensions_do_not_pile_up(impatient: None, server: HttpServer) -> None:
    start = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for flood in (b"0\r\n" + b"x-a: b\r\n", b"1;x=" + b"y" * 100):
        with connect(server) as client:
            client.sendall(start + flood)
            assert flood_ends(client, b"x-a: b\r\n" * 100 if b"x-a" in flood else b"y" * 1000)


def test_what_is_no_http_gets_a_problem(server: HttpServer) -> None:
    with connect(server) as client:
        client.sendall(b"HELO there\r\n\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


def test_what_is_no_http_after_a_request_does_not_take_its_answer(server: HttpServer) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    for count in (1, 3):
        with connect(server) as client:
            client.sendall(post * count + b"surplus of a body\r\n\r\n")
            answer = read_all(client)
        assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200"] * count + [b"400"], answer


def test_a_broken_body_does_not_take_the_answers_before_it(server: HttpServer) -> None:
    get = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
    broken = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n"
    for count in (0, 1, 3):
        with connect(server) as client:
            client.sendall(get * count + broken)
            answer = read_all(client)
        assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200"] * count + [b"400"]
        assert answer.count(b"x") >= 262144 * count


def test_nothing_is_written_behind_a_refusal(
    server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    """uvicorn would still ask for the body, in an answer of its own."""
    with connect(server) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n"
        )
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    assert httpx.get(url(server)).text == "0"
    assert "Exception" not in caplog.text


def test_pipelined_requests_are_answered_in_order(server: HttpServer) -> None:
    def requests(count: int) -> bytes:
        posts = (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (n, b"z" * n)
            for n in range(1, count + 1)
        )
        return b"".join(posts)

    with connect(server) as client:
        client.sendall(requests(200))
        found, end = b"", b"\r\n200\r\n0\r\n\r\n"
        while not found.endswith(end):
            part = client.recv(65536)
            assert part, found[-200:]
            found += part
    bodies = re.findall(rb"\r\n\r\n[0-9a-f]+\r\n(\d+)\r\n0\r\n", found)
    assert [int(body) for body in bodies] == list(range(1, 201))


def test_who_never_reads_an_answer_is_dropped(impatient: None, server: HttpServer) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.address)
        request = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
        assert flood_ends(client, request * 100)


def test_requests_beyond_the_limit_are_told_to_come_again() -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await release.wait()
            await hello(scope, receive, send)

        limited = http_limit.RequestLimit(slow, 2)
        answers: list[tuple[str, list[Any]]] = []

        async def ask(path: str) -> None:
            sent: list[Any] = []

            async def receive() -> Any:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {"type": "http", "path": path, "method": "GET", "headers": []}
            await limited(scope, receive, send)
            answers.append((path, sent))

        tasks = [asyncio.create_task(ask("/work")) for _ in range(5)]
        tasks.append(asyncio.create_task(ask("/health")))
        while len(answers) < 3:  # noqa: ASYNC110 - nobody but the test counts
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert len(answers) == 3, "two are worked on, /health is never refused"
        release.set()
        await asyncio.gather(*tasks)
        statuses = sorted(sent[0]["status"] for _, sent in answers)
        assert statuses == [200, 200, 200, 503, 503, 503]
        refused = next(sent for _, sent in answers if sent[0]["status"] == 503)
        headers = dict(refused[0]["headers"])
        assert headers[b"retry-after"] == b"1"
        assert headers[b"content-type"] == b"application/problem+json"
        await ask("/work")
        assert answers[-1][1][0]["status"] == 200

    asyncio.run(scenario())


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


def test_servers_end_together_when_the_process_begins_to_stop() -> None:
    stopping = threading.Event()
    servers = []
    for name in ("one", "two"):
        listener = bind("127.0.0.1", 0, fallback=True, what="t", log=LOG)
        servers.append(HttpServer(hello, listener, name, stopping))
        servers[-1].start()
    assert httpx.get(url(servers[0])).text == "0"
    assert all(server.alive() for server in servers)
    stopping.set()
    until = time.monotonic() + 20
    while any(server.alive() for server in servers) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(server.alive() for server in servers)
    for server in servers:
        server.stop()
