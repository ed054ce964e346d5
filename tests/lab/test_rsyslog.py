"""A real shipper: rsyslog tails rt_process.log into an HTTP endpoint of the test.

The shipped settings are used as they are but for folder and port.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nonrt_process.logs import ecs
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.first_line import first_line
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.rt_log import RtLog
from nonrt_process.logs.statistics import Statistics
from nonrt_process.pump import Pump
from shared.clock import SystemClock
from shared.core import lib
from shared.enums import EventKind, Level
from shared.events import message_id
from shared.segment import Segment
from tests.helpers import ROOT, skip_or_fail
from tests.unit.nonrt_process.fakes import fake_context, publish_events, real_segment

MODULE = "rsyslog/omelasticsearch.so"


class Endpoint:
    """Takes _bulk requests as Elasticsearch does; keeps (arrival, document)."""

    def __init__(self, port: int = 0) -> None:
        self.documents: list[tuple[float, dict[str, Any]]] = []
        self._server: ThreadingHTTPServer | None = None
        self.port = port

    def start(self) -> None:
        documents = self.documents

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({"status": "green"})

            do_HEAD = do_GET  # noqa: N815  named by http.server

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                now = time.time()
                lines = raw.splitlines()
                found = [json.loads(line) for line in lines[1::2]]
                documents.extend((now, one) for one in found)
                items = [{"create": {"status": 201}} for _ in found]
                self._answer({"took": 1, "errors": False, "items": items})

            def _answer(self, body: Any) -> None:
                raw = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        ThreadingHTTPServer.daemon_threads = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def numbers(self) -> list[int]:
        """event.sequence of the RT events, as they arrived."""
        return [one[ecs.EVENT_SEQUENCE] for _, one in self.documents if ecs.EVENT_SEQUENCE in one]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def shipper(tmp_path: Path, endpoint: Endpoint) -> Iterator[Path]:
    """rsyslogd with the shipped settings; the folder it reads."""
    program = shutil.which("rsyslogd") or skip_or_fail("rsyslogd is missing", "rsyslog")
    if not list(Path("/usr/lib").glob(f"*/{MODULE}")):
        skip_or_fail("omelasticsearch is missing", "rsyslog-elasticsearch")
    logs = tmp_path / "shipped"
    logs.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    text = (ROOT / "config/rsyslog/mxrc.conf").read_text()
    text = text.replace("/var/log/mxrc", str(logs)).replace("9200", str(endpoint.port))
    settings = tmp_path / "rsyslog.conf"
    settings.write_text(f'global(workDirectory="{work}" maxMessageSize="64k")\n{text}')
    pid_file = tmp_path / "rsyslog.pid"
    arguments = [program, "-n", "-f", str(settings), "-i", str(pid_file)]
    with (tmp_path / "rsyslog.out").open("wb") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out)
        yield logs
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Writer:
    """Events on their way through a segment and a pump into the log file, as RT makes them."""

    def __init__(self, rt: Segment, nonrt: Segment, tmp_path: Path, logs: Path) -> None:
        clock = SystemClock()
        self._rt = rt
        self._file = LogFile(
            logs / "rt_process.log",
            clock,
            lambda: first_line("rt_process", "lab", clock),
            max_bytes=1 << 18,
            max_age_hours=24,
            total_quota_bytes=1 << 30,
        )
        health = FileHealth("rt_log_file", self._file.path, print)
        consumer = RtLog(self._file, health, Statistics(), clock, "lab")
        self._pump = Pump(fake_context(tmp_path, segment=nonrt), consumer)
        self._pump.start()
        self.count = 0

    def write(self, count: int, per_second: int) -> None:
        for _ in range(count):
            row = {
                "time_ns": int(lib.mxrc_now_ns()),
                "kind": EventKind.LOG,
                "level": Level.ERROR,
                "message_id": message_id("DEADLINE_MISS"),
                "cycle": self.count,
                "trace_id": range(1, 17),
                "args": (1.5, 2.5, 3.5, self.count, 0, 0),
            }
            publish_events(self._rt, [row])
            self.count += 1
            time.sleep(1 / per_second)

    def close(self) -> int:
        assert self._pump.stop()
        self._file.close()
        return len(self._file.rotated())


def wait(look: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not look() and time.monotonic() < deadline:
        time.sleep(0.05)
    return look()


def age(arrived: float, document: dict[str, Any]) -> float:
    return (
        arrived - float(np.datetime64(document[ecs.TIMESTAMP].rstrip("Z"), "us").astype(int)) / 1e6
    )


def test_from_event_to_document_within_a_second(
    tmp_path: Path, shipper: Path, endpoint: Endpoint
) -> None:
    with real_segment(tmp_path, event_slots=1 << 14) as (rt, nonrt):
        writer = Writer(rt, nonrt, tmp_path, shipper)
        writer.write(1, 100)
        assert wait(lambda: bool(endpoint.numbers()), 15), (tmp_path / "rsyslog.out").read_text()
        writer.write(3000, 400)
        assert wait(lambda: len(endpoint.numbers()) >= writer.count, 10)
        rotations = writer.close()
    assert endpoint.numbers() == [16 * number for number in range(writer.count)]
    assert rotations >= 2, "the shipper had to follow rotations"
    ages = [age(*one) for one in endpoint.documents if ecs.EVENT_SEQUENCE in one[1]][1:]
    p50, p99 = np.quantile(ages, [0.5, 0.99])
    print(f"event to document: p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, n {len(ages)}")
    assert p99 < 1.0


def test_endpoint_away_for_20_s_loses_nothing(
    tmp_path: Path, shipper: Path, endpoint: Endpoint
) -> None:
    with real_segment(tmp_path, event_slots=1 << 14) as (rt, nonrt):
        writer = Writer(rt, nonrt, tmp_path, shipper)
        writer.write(200, 100)
        assert wait(lambda: len(endpoint.numbers()) == 200, 15)
        endpoint.stop()
        writer.write(2000, 100)
        endpoint.start()
        writer.write(100, 100)
        assert wait(lambda: len(set(endpoint.numbers())) >= writer.count, 40)
        writer.close()
    numbers = endpoint.numbers()
    first = list(dict.fromkeys(numbers))
    assert first == [16 * number for number in range(writer.count)], "in order"
    print(f"{writer.count} documents, {len(numbers) - writer.count} delivered twice")
