from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nonrt_process.traces import archive as module
from nonrt_process.traces import otlp
from nonrt_process.traces.archive import KEEP_NS, Archive
from nonrt_process.traces.router import make_router
from shared.cli.waterfall import perfetto, waterfall
from shared.clock import FakeClock

ORIGIN = otlp.Origin.make({"service.instance.id": "a/rt_process@host"}, "rt", "1")
BASE = 1_700_000_000_000_000_000


def finished(
    trace: int,
    span: int,
    start: int,
    end: int,
    *,
    parent: int = 0,
    name: str = "task.execute",
    task: str = "",
    error: str = "",
    missed: bool | None = None,
) -> otlp.Finished:
    attributes = {"task.id": task} if task else {}
    data = otlp.span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=span.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big"),
        name=name,
        kind=1,
        start_ns=BASE + start,
        end_ns=BASE + end,
        attributes=otlp.attributes(attributes)
        + (b"" if missed is None else otlp.attribute("rt.deadline_missed", missed)),
        status=otlp.STATUS_ERROR if error else 0,
        status_message=error,
    )
    return otlp.Finished(
        ORIGIN,
        otlp.field(2, data),
        trace.to_bytes(16, "big"),
        span.to_bytes(8, "big"),
        name,
        task,
        error,
        BASE + start,
        BASE + end,
    )


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path / "spans.sqlite3", FakeClock(), logging.getLogger("test.archive"))
    made.open()
    yield made
    made.store.close()


def client(archive: Archive) -> TestClient:
    app = FastAPI()
    app.include_router(make_router(archive))
    return TestClient(app, raise_server_exceptions=False)


MS = 1_000_000


def fill(archive: Archive) -> None:
    # Children come first: a span is recorded at its end.
    archive.add([finished(1, 3, 2 * MS, 5 * MS, parent=2, name="action.execute", task="t1")])
    archive.add([finished(1, 2, MS, 9 * MS, parent=1, task="t1")])
    archive.add([finished(1, 1, 0, 10 * MS, name="POST /x")])
    archive.add([finished(2, 4, 20 * MS, 21 * MS, task="t2", error="ERR_TIMEOUT")])
    archive.add([finished(3, 5, 3 * MS, 4 * MS, name="rt.cycle", missed=True)])


def test_traces_are_found(archive: Archive) -> None:
    fill(archive)
    fill(archive)  # a batch that comes again changes nothing
    api = client(archive)

    def ids(**query: str) -> list[int]:
        rows = api.get("/api/v1/traces", params=query).json()["traces"]
        return [int(row["trace_id"], 16) for row in rows]

    assert ids() == [2, 1]
    assert ids(task="t1") == [1]
    assert ids(error="true") == [2]
    assert ids(error="false") == [1]
    assert ids(min_duration="5") == [1]
    assert ids(limit="1") == [2]
    assert ids(cycles="true") == [3]
    (row,) = api.get("/api/v1/traces", params={"task": "t1"}).json()["traces"]
    assert row["root"] == "POST /x"
    assert row["spans"] == 3
    assert row["duration_ms"] == 10
    assert row["started_at"].endswith("Z")


def test_a_trace_is_shown_whole(archive: Archive) -> None:
    fill(archive)
    path = f"/api/v1/traces/{1:032x}"
    body = client(archive).get(path).json()
    assert [span["name"] for span in body["spans"]] == ["POST /x", "task.execute", "action.execute"]
    lines = list(waterfall(body["spans"], 100))
    assert len(lines) == 4
    assert lines[2].startswith("  task.execute t1 ")
    assert lines[3].startswith("    action.execute t1 ")
    assert "3.000" in lines[3]
    assert all(len(line) <= 100 for line in lines)
    otlp_json = client(archive).get(path, params={"format": "otlp-json"}).json()
    (resource,) = otlp_json["resourceSpans"]
    found = resource["scopeSpans"][0]["spans"]
    assert {span["traceId"] for span in found} == {f"{1:032x}"}
    assert {span["spanId"] for span in found} == {f"{n:016x}" for n in (1, 2, 3)}
    assert found[0]["kind"] == 1

    with_cycles = client(archive).get(path, params={"cycles": "true"}).json()["spans"]
    events = perfetto(with_cycles)["traceEvents"]
    assert {event["name"] for event in events if event["ph"] == "i"} == {"deadline missed"}
    assert {event["cat"] for event in events if event["ph"] == "X"} == {
        "POST /x", "task.execute", "action.execute", "rt.cycle",
    }  # fmt: skip


def test_what_is_not_there_or_not_an_id(archive: Archive) -> None:
    assert client(archive).get("/api/v1/traces/" + "0" * 32).status_code != 200
    assert client(archive).get("/api/v1/traces/xyz").status_code == 422


def test_old_traces_go_first_by_age_then_by_quota(archive: Archive) -> None:
    fill(archive)
    archive._clock = FakeClock(realtime_ns=BASE + KEEP_NS + 15 * MS)
    archive.store.write(lambda connection: archive._retain(connection, False))
    assert [one.trace_id[-1] for one in archive.find()] == [2]
    archive.store.write(lambda connection: archive._retain(connection, True))
    assert archive.find() == []
    with archive.store.read() as connection:
        assert connection.execute("SELECT count(*) FROM span").fetchone() == (0,)


def test_without_its_file_the_loss_is_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spans.sqlite3").mkdir()
    made = Archive(tmp_path / "spans.sqlite3", FakeClock(), logging.getLogger("test.archive"))
    made.open()
    made.add([finished(1, 1, 0, 1)])
    made.add([finished(1, 2, 0, 1)])
    assert made.dropped == 2
    assert len(caplog.records) == 1
    assert client(made).get("/api/v1/traces").status_code != 200


def test_a_slow_disk_holds_nobody_up(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import threading

    monkeypatch.setattr(module, "WAIT_S", 0.01)
    gate = threading.Event()
    archive.store.submit(lambda _: gate.wait(10))
    archive.add([finished(1, 1, 0, 1)])
    assert "slow" in caplog.text
    gate.set()
    archive.store.write(lambda _: None)
    assert len(archive.find()) == 1


def test_a_disk_that_stands_still_costs_a_bounded_number_of_spans(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    monkeypatch.setattr(module, "BEHIND_SPANS", 10)
    go_on = threading.Event()
    archive.store.submit(lambda _: go_on.wait(30))
    for number in range(1, 16):
        archive.add([finished(number, 1, 0, 10)])
    assert archive.dropped == 5
    assert "The disk is slow" in caplog.text
    go_on.set()
    archive.store.write(lambda _: None)
    assert len(archive.find()) == 10
    archive.add([finished(99, 1, 0, 10)])
    archive.store.write(lambda _: None)  # behind it
    assert len(archive.find()) == 11
    assert archive.dropped == 5
