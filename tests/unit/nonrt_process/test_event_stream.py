"""Server-sent events: what a stream sends, when it ends, and what a slow client costs."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from nonrt_process import http_protocol
from nonrt_process.api import event_stream
from nonrt_process.api.datastore_watch import Watch
from nonrt_process.api.event_stream import EventStream, Message, Streams
from nonrt_process.http_server import HttpServer, bind
from shared.config.models.datastore import DataStoreConfig, DataStoreKey
from shared.datastore import DataStore, fill_directory
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import FakeContext, fake_context, real_segment

KEYS = DataStoreConfig(
    keys=(
        DataStoreKey(name="speed", type="double", unit="m/s", writer="nonrt", min=0, max=2),
        DataStoreKey(name="closed", type="bool", writer="rt"),
        DataStoreKey(name="pose", type="double[3]", writer="nonrt"),
        DataStoreKey(name="count", type="int64", writer="rt"),
    )
)
LOG = logging.getLogger("test.stream")


class Both:
    """A data store with a writer on each side."""

    def __init__(self, rt: Segment, nonrt: Segment, context: FakeContext) -> None:
        self.rt, self.nonrt, self.context = DataStore(rt), DataStore(nonrt), context


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    with real_segment(tmp_path, fill=lambda rt: fill_directory(rt, KEYS), data_keys=4) as (
        rt,
        nonrt,
    ):
        context = fake_context(tmp_path, segment=nonrt)
        yield Both(rt, nonrt, context)
        context.heart.segment = None


def changes(messages: list[Message]) -> dict[str, Any]:
    assert {one.event for one in messages} <= {"change"}
    return {one.data["key"]: one.data["value"] for one in messages}


# ---- what has changed ----


def test_the_first_look_gives_all_and_the_next_what_changed(both: Both) -> None:
    watch = Watch(both.context, ())
    assert changes(watch.look()) == {
        "closed": False, "count": 0, "speed": 0.0, "pose": [0.0, 0.0, 0.0],
    }  # fmt: skip
    assert watch.look() == []
    both.rt.write("closed", True)
    both.nonrt.write("pose", [1.0, 2, 3])
    assert changes(watch.look()) == {"closed": True, "pose": [1.0, 2.0, 3.0]}
    both.rt.write("closed", True)  # the same again is a write, too
    (message,) = watch.look()
    assert message.data == {
        "key": "closed",
        "value": True,
        "type": "bool",
        "unit": "",
        "written": message.data["written"],
        "skipped": 0,
    }
    assert message.data["written"].endswith("Z")


def test_only_the_chosen_keys_are_watched(both: Both) -> None:
    watch = Watch(both.context, {"count", "speed"})
    assert changes(watch.look()) == {"count": 0, "speed": 0.0}
    both.rt.write("closed", True)
    assert watch.look() == []
    both.nonrt.write("speed", 1.5)
    assert changes(watch.look()) == {"speed": 1.5}


def test_what_a_slow_reader_missed_is_counted_and_bounded(both: Both) -> None:
    """However long it stays away: one message a key, and the number of writes in between."""
    watch = Watch(both.context, ())
    watch.look()
    for number in range(5000):
        both.rt.write("count", number)
    (message,) = watch.look()
    assert (message.data["value"], message.data["skipped"]) == (4999, 4999)


def test_another_generation_gives_all_again(both: Both, tmp_path: Path) -> None:
    watch = Watch(both.context, {"count"})
    watch.look()
    old, both.context.heart.segment = both.context.heart.segment, None
    assert [one.event for one in watch.look()] == ["absent"]
    assert watch.look() == []
    (tmp_path / "other").mkdir()
    with real_segment(
        tmp_path / "other", fill=lambda rt: fill_directory(rt, KEYS), data_keys=4
    ) as (_, nonrt):
        both.context.heart.segment = nonrt
        assert changes(watch.look()) == {"count": 0}
        both.context.heart.segment = old


# ---- the stream ----


class Client:
    """An ASGI connection. take: what it does before it takes a message."""

    def __init__(self, take: Callable[[], Awaitable[None]] | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self._take = take

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self._take is not None and message["type"] == "http.response.body":
            await self._take()
        self.sent.append(message)

    @property
    def body(self) -> str:
        return b"".join(one.get("body", b"") for one in self.sent).decode()

    def events(self) -> list[tuple[str, Any]]:
        found = []
        for block in self.body.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "event" in lines:
                found.append((lines["event"], json.loads(lines["data"])))
        return found


class Numbers:
    """News: the next number at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> list[Message]:
        self.looks += 1
        return [Message("number", {"n": self.looks})]


def serve(stream: EventStream, client: Client, seconds: float = 20) -> None:
    async def run() -> None:
        await asyncio.wait_for(stream({"type": "http"}, client.receive, client.send), seconds)

    asyncio.run(run())


def test_a_stream_sends_its_news_and_ends_after_max_events() -> None:
    streams, client = Streams(LOG), Client()
    stream = EventStream(streams, Numbers(), lambda: False, 0.001, max_events=3)
    assert streams.open == 1
    serve(stream, client)
    assert streams.open == 0
    assert client.body.startswith("retry: 2000\n\n")
    assert client.events() == [("number", {"n": number}) for number in (1, 2, 3)]
    assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    headers = dict(client.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in headers


def test_the_end_of_the_process_ends_it() -> None:
    streams, client = Streams(LOG), Client()
    serve(EventStream(streams, list, lambda: True, 3600), client)
    assert client.events() == [("end", {"detail": "the process stops"})]
    assert streams.open == 0


def test_a_client_that_leaves_ends_it() -> None:
    streams, client = Streams(LOG), Client()
    news = Numbers()

    def leaves() -> list[Message]:
        if news.looks == 2:
            client.gone.set()
        return news()

    serve(EventStream(streams, leaves, lambda: False, 0.001), client)
    assert 2 <= news.looks <= 4
    assert (streams.open, streams.dropped) == (0, 0)


def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_S", 0.01)
    client = Client()
    looks = 0

    def silent() -> list[Message]:
        nonlocal looks
        looks += 1
        return [Message("last", {})] if looks == 200 else []

    serve(EventStream(Streams(LOG), silent, lambda: False, 0.001, max_events=1), client)
    assert ": keep-alive\n\n" in client.body
    assert client.events() == [("last", {})]


def test_a_slow_client_is_dropped_counted_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_stream, "SLOW_S", 0.05)
    takes = 0

    async def take() -> None:
        nonlocal takes
        takes += 1
        await asyncio.sleep(0.2 if takes == 3 else 0)

    streams, client, news = Streams(LOG), Client(take), Numbers()
    serve(EventStream(streams, news, lambda: False, 0.001), client)
    assert (streams.open, streams.dropped) == (0, 1)
    name, data = client.events()[-1]
    assert name == "end"
    assert "at most 0.05 s are allowed" in data["detail"]
    assert news.looks == 3, "nobody asked for news while it took its time"
    assert "Stream dropped" in caplog.text


def test_a_server_that_gives_up_in_the_middle_frees_the_place() -> None:
    async def take() -> None:
        raise OSError("connection lost")

    streams = Streams(LOG)
    with pytest.raises(OSError, match="connection lost"):
        serve(EventStream(streams, Numbers(), lambda: False, 0.001), Client(take))
    assert streams.open == 0


# ---- in the real server ----


def stalled_client_is_dropped(
    monkeypatch: pytest.MonkeyPatch, request_timeout_s: float, patience_s: float
) -> bool:
    """Whether a stream ends whose client takes nothing; the server answers others meanwhile."""
    monkeypatch.setattr(event_stream, "SLOW_S", 0.05)
    monkeypatch.setattr(http_protocol, "REQUEST_TIMEOUT_S", request_timeout_s)
    streams = Streams(LOG)
    news = [Message("much", {"text": "x" * 100_000})]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        stream = scope["path"] == "/stream"
        answer = (
            EventStream(streams, lambda: news, lambda: False, 0.001)
            if stream
            else PlainTextResponse("here")
        )
        await answer(scope, receive, send)

    listener = bind("127.0.0.1", 0, fallback=False, what="test", log=LOG)
    server = HttpServer(app, listener, "test-http")
    server.start()
    try:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(server.address)
            client.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
            deadline = time.monotonic() + patience_s
            while not (streams.dropped and not streams.open) and time.monotonic() < deadline:
                with socket.create_connection(server.address, timeout=20) as other:
                    other.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    assert other.recv(12) == b"HTTP/1.1 200"
                time.sleep(0.02)
            return streams.dropped == 1 and streams.open == 0
    finally:
        monkeypatch.setattr(http_protocol, "REQUEST_TIMEOUT_S", 0.1)
        server.stop()


def test_a_client_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stalled_client_is_dropped(monkeypatch, 2.0, 30)


def test_without_the_bound_of_the_server_it_would_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong variant: so the test before tells one from the other."""
    assert not stalled_client_is_dropped(monkeypatch, 3600, 1.0)
