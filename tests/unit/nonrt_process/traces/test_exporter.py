from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from nonrt_process.otlp_http import (
    FIRST_BACKOFF_S,
    MAX_BACKOFF_S,
    MAX_RETRY_AFTER_S,
    Answer,
    HttpTransport,
    retry_after_s,
)
from nonrt_process.traces import otlp
from nonrt_process.traces.exporter import Exporter
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.spool import Spool
from nonrt_process.traces.statistics import Statistics
from nonrt_process.traces.transport import make_transport
from shared.clock import FakeClock
from shared.config.models.tracing_config import Exporter as Settings

ORIGIN = otlp.Origin.make({"service.name": "test"}, "scope", "1")


def request(count: int, first: int = 1) -> bytes:
    spans = [
        otlp.span(
            trace_id=bytes([9] * 16),
            span_id=n.to_bytes(8, "big"),
            parent_span_id=b"",
            name="s",
            kind=1,
            start_ns=1,
            end_ns=2,
        )
        for n in range(first, first + count)
    ]
    return otlp.resource_spans(ORIGIN, [otlp.field(2, one) for one in spans])


def ids(body: bytes) -> list[int]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        int.from_bytes(span.span_id, "big")
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class FakeTransport:
    """Answers as told; the last answer for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []

    def send(self, body: bytes, timeout_s: float) -> Answer:
        self.bodies.append(body)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Setup:
    def __init__(self, *answers: Answer) -> None:
        self.spool = Spool(None, logging.getLogger("test.spool"))
        self.statistics = Statistics(Inbox(), self.spool)
        self.transport = FakeTransport(*answers)
        self.exporter = Exporter(
            self.spool,
            lambda: self.transport,
            self.statistics,
            FakeClock(),
            logging.getLogger("test.export"),
            "http://collector",
            jitter=lambda: 1.0,
        )

    def put(self, count: int, first: int = 1) -> None:
        self.spool.append(request(count, first), count)

    def deliver(self) -> float:
        taken = self.spool.take(10)
        assert taken is not None
        return self.exporter.deliver(taken)


def test_delivered_spans_leave_the_queue() -> None:
    setup = Setup(Answer(200))
    setup.put(3)
    assert setup.deliver() == 0
    assert ids(setup.transport.bodies[0]) == [1, 2, 3]
    assert setup.spool.pending() == 0
    assert setup.statistics.exported() == 3
    assert setup.spool.take(10) is None


@pytest.mark.parametrize("answer", [Answer(0, error="refused"), *map(Answer, (429, 502, 503, 504))])
def test_what_passes_is_sent_again_in_order_with_back_off(answer: Answer) -> None:
    setup = Setup(answer, answer, answer, answer, Answer(200))
    setup.put(2)
    waits = [setup.deliver() for _ in range(4)]
    assert waits == [FIRST_BACKOFF_S * factor for factor in (1, 2, 4, 8)]
    setup.put(2, first=3)
    assert setup.deliver() == 0
    assert ids(setup.transport.bodies[-1]) == [1, 2, 3, 4]
    assert setup.statistics.export_failures() == 4
    assert setup.statistics.dropped() == 0


def test_back_off_has_an_end_and_begins_anew_after_success() -> None:
    setup = Setup(*[Answer(503)] * 12, Answer(200), Answer(503))
    setup.put(1)
    waits = [setup.deliver() for _ in range(12)]
    assert max(waits) == MAX_BACKOFF_S
    assert setup.deliver() == 0
    setup.put(1)
    assert setup.deliver() == FIRST_BACKOFF_S


def test_retry_after_is_obeyed_within_bounds() -> None:
    setup = Setup(Answer(429, retry_after="7"), Answer(503, retry_after="99999999"))
    setup.put(1)
    assert setup.deliver() == 7
    assert setup.deliver() == MAX_RETRY_AFTER_S


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 302])
def test_what_is_refused_for_good_is_given_up_and_counted(status: int) -> None:
    setup = Setup(Answer(status), Answer(200))
    setup.put(3)
    assert setup.deliver() == 0
    assert setup.spool.pending() == 0
    assert setup.statistics.dropped_by_cause()["refused"] == 3
    setup.put(1)
    setup.deliver()
    assert setup.statistics.exported() == 1


def test_partial_success_is_read(caplog: pytest.LogCaptureFixture) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 2
    response.partial_success.error_message = "too old"
    setup = Setup(Answer(200, response.SerializeToString()))
    setup.put(5)
    with caplog.at_level(logging.WARNING):
        setup.deliver()
    assert setup.statistics.exported() == 3
    assert setup.statistics.dropped() == 2
    assert "too old" in caplog.text


def test_an_outage_is_said_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup(*[Answer(0, error="refused")] * 5, Answer(200))
    setup.put(1)
    with caplog.at_level(logging.INFO):
        for _ in range(6):
            setup.deliver()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 5 ", 5),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, 1_700_000_000_000_000_000) == seconds


class _Receiver(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    answers: ClassVar[list[tuple[int, dict[str, str]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, dict(self.headers), gzip.decompress(body)))
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def receiver() -> Iterator[str]:
    _Receiver.seen.clear()
    _Receiver.answers.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_http_transport() -> None:
    with receiver() as url:
        transport = make_transport(
            Settings(endpoint=url + "/"), {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b"}
        )
        _Receiver.answers.append((503, {"Retry-After": "3"}))
        assert transport.send(b"first", 5) == Answer(503, b"", "3")
        assert transport.send(b"second", 5).status == 200
    path, headers, body = _Receiver.seen[1]
    assert (path, body) == ("/v1/traces", b"second")
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["x-key"] == "a b"
    answer = transport.send(b"nobody listens", 1)
    assert answer.status == 0
    assert answer.error


def test_the_thread_delivers_and_stop_flushes() -> None:
    with receiver() as url:
        setup = Setup(Answer(200))
        setup.exporter._make_transport = lambda: HttpTransport(url, "/v1/traces", {})
        setup.exporter.start()
        setup.put(50)
        for _ in range(200):
            if setup.statistics.exported() == 50:
                break
            threading.Event().wait(0.05)
        setup.put(5, first=51)
        setup.exporter.stop()
    assert sorted(n for *_, body in _Receiver.seen for n in ids(body)) == list(range(1, 56))
