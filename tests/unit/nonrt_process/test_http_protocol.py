"""How long a client may take, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from nonrt_process.http_protocol import REQUEST_TIMEOUT_S, BoundedProtocol

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """The loop's clock and timers; a request stays under way until the test answers it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Handle, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], object]) -> Handle:
        handle = Handle()
        self.timers.append((self.now + delay, handle, call))
        return handle

    def create_task(self, coroutine: Any, **_: Any) -> Any:
        coroutine.close()

        class Task:
            def add_done_callback(self, _: Any) -> None:
                pass

        return Task()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = [timer for timer in self.timers if timer[0] <= end and not timer[1].cancelled]
            if not due:
                break
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.now = max(self.now, first[0])
            first[2]()
        self.now = end


class Transport:
    def __init__(self) -> None:
        self.ended = ""
        self.unsent = 0

    def abort(self) -> None:
        self.ended = self.ended or "aborted"

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def is_closing(self) -> bool:
        return self.ended != ""

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> None:
        return None

    def write(self, data: bytes) -> None:
        assert not self.ended

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Connection:
    def __init__(self) -> None:
        self.loop, self.transport = Loop(), Transport()
        config = Config(app=lambda: None, http=BoundedProtocol, log_config=None, lifespan="off")
        config.load()
        self.protocol = BoundedProtocol(config, ServerState(), {}, _loop=cast("Any", self.loop))
        self.protocol.connection_made(cast("Any", self.transport))

    def request(self) -> None:
        self.protocol.data_received(HEAD + b"abc")

    def answer(self) -> None:
        cycle: Any = self.protocol.cycle
        cycle.response_started = cycle.response_complete = True
        cycle.on_response()


@pytest.fixture
def connection() -> Connection:
    return Connection()


def assert_dropped(connection: Connection, before: float) -> None:
    """Not in the next nine tenths of the time limit, and before so many times of it."""
    connection.loop.run(0.9 * REQUEST_TIMEOUT_S)
    assert connection.transport.ended == ""
    connection.loop.run((before - 0.9) * REQUEST_TIMEOUT_S)
    assert connection.transport.ended == "aborted"


def test_an_idle_connection_is_no_slow_request(connection: Connection) -> None:
    connection.protocol.timeout_keep_alive = 3600
    connection.request()
    connection.answer()
    connection.loop.run(10.5 * REQUEST_TIMEOUT_S)
    connection.request()
    assert connection.transport.ended == ""


@pytest.mark.parametrize("late", [0.01, 0.5, 0.99])
def test_each_request_has_the_whole_time(connection: Connection, late: float) -> None:
    """However long ago the last answer was given."""
    connection.protocol.timeout_keep_alive = 3600
    connection.request()
    connection.answer()
    connection.loop.run(late * REQUEST_TIMEOUT_S)
    connection.protocol.data_received(HEAD)
    assert_dropped(connection, 1.1)


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD, HEAD + b"ab"])
def test_who_does_not_end_a_request_is_dropped(connection: Connection, sent: bytes) -> None:
    if sent:
        connection.protocol.data_received(sent)
    assert_dropped(connection, 1.1)


def test_an_answer_may_take_its_time(connection: Connection) -> None:
    connection.request()
    connection.loop.run(20 * REQUEST_TIMEOUT_S)
    assert connection.transport.ended == ""


@pytest.mark.parametrize("answered", [False, True])
def test_who_leaves_an_answer_where_it_is_is_dropped(
    connection: Connection, answered: bool
) -> None:
    connection.protocol.timeout_keep_alive = 3600
    connection.request()
    connection.transport.unsent = 5000
    if answered:
        connection.answer()
    assert_dropped(connection, 2.1)


def test_a_stream_that_is_taken_goes_on(connection: Connection) -> None:
    """A look may find a message that was written a moment before."""
    connection.request()
    for _ in range(20):
        connection.transport.unsent = 100_000
        connection.protocol.pause_writing()
        connection.loop.run(0.6 * REQUEST_TIMEOUT_S)
        connection.protocol.resume_writing()
    connection.transport.unsent = 0
    connection.loop.run(REQUEST_TIMEOUT_S)
    assert connection.transport.ended == ""


def test_a_refused_client_that_stays_is_dropped(connection: Connection) -> None:
    connection.protocol.data_received(b"HELO there\r\n\r\n")
    assert connection.transport.ended == ""
    connection.loop.run(REQUEST_TIMEOUT_S)
    assert connection.transport.ended == "aborted"


@pytest.mark.parametrize("closing", [False, True])
def test_a_large_answer_that_is_taken_steadily_arrives(
    connection: Connection, closing: bool
) -> None:
    connection.protocol.timeout_keep_alive = 3600
    connection.request()
    connection.answer()
    connection.transport.unsent = 10_000_000
    if closing:  # once it is sent
        connection.transport.is_closing = lambda: True  # type: ignore[method-assign]
    while connection.transport.unsent > 0:
        connection.loop.run(0.4 * REQUEST_TIMEOUT_S)
        assert connection.transport.ended == ""
        connection.transport.unsent -= 500_000


def test_a_refusal_waits_for_the_answers_before_it(connection: Connection) -> None:
    connection.request()
    connection.protocol.data_received(b"HELO there\r\n\r\n")
    connection.transport.unsent = 10_000_000
    connection.answer()
    for _ in range(30):
        connection.loop.run(0.1 * REQUEST_TIMEOUT_S)
        connection.transport.unsent -= 300_000
        assert connection.transport.ended == ""
    connection.transport.unsent = 0
    connection.loop.run(REQUEST_TIMEOUT_S)
    assert connection.transport.ended == "aborted"


def test_a_request_that_waits_for_its_turn_is_not_slow(connection: Connection) -> None:
    """The server reads no further meanwhile."""
    connection.request()
    connection.protocol.data_received(HEAD)
    connection.loop.run(5 * REQUEST_TIMEOUT_S)
    assert connection.transport.ended == ""


def test_the_request_that_is_worked_on_knows_that_its_client_has_gone(
    connection: Connection,
) -> None:
    connection.request()
    working: Any = connection.protocol.cycle
    connection.request()
    assert connection.protocol.cycle is not working
    connection.protocol.connection_lost(None)
    assert working.disconnected
    assert working.message_event.is_set()


def test_the_next_one_is_worked_on_behind_an_answer(connection: Connection) -> None:
    connection.request()
    first: Any = connection.protocol.cycle
    connection.request()
    second: Any = connection.protocol.cycle
    connection.request()
    first.response_started = first.response_complete = True
    first.on_response()
    connection.protocol.connection_lost(None)
    assert second.disconnected
