"""Log records over OTLP: what is sent, from where it goes on, what is counted."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs

from nonrt_process.logs import ecs, otlp_shipper
from nonrt_process.logs.otlp_records import request_of
from nonrt_process.logs.otlp_shipper import OtlpShipper
from nonrt_process.otlp_http import Answer
from shared.clock import FakeClock

FULL = {
    ecs.TIMESTAMP: "2026-01-31T10:00:00.123456Z", ecs.LEVEL: "critical", ecs.MESSAGE: "täxt",
    ecs.LOGGER: "rt.cycle", ecs.PROCESS_NAME: "rt_process", ecs.PROCESS_PID: 7,
    ecs.THREAD_ID: 8, ecs.ECS: ecs.ECS_VERSION, ecs.EVENT_KIND: "event",
    ecs.EVENT_SEQUENCE: 2**62, ecs.TRACE_ID: "0a" * 16, ecs.SPAN_ID: "0b" * 8,
    ecs.EVENT_CATEGORY: ["process"], ecs.CYCLE_TIME: 1.5, ecs.ERROR_TYPE: "ERR_TIMEOUT",
    ecs.LABELS: {"instance": "cell"}, "mxrc.flag": True, ecs.TASK_ID: None,
}  # fmt: skip


def sent(body: bytes) -> list[ResourceLogs]:
    return list(ExportLogsServiceRequest.FromString(body).resource_logs)


def records(body: bytes) -> list[LogRecord]:
    return [
        record for group in sent(body) for scope in group.scope_logs for record in scope.log_records
    ]


def test_a_line_as_a_record() -> None:
    body, count = request_of([json.dumps(FULL).encode()], {"service.name": "s"}, "info", 5)
    (group,) = sent(body)
    assert [one.key for one in group.resource.attributes] == ["service.name"]
    assert group.scope_logs[0].scope.name == "rt.cycle"
    (record,) = records(body)
    assert count == 1
    assert record.time_unix_nano == 1_769_853_600_123_456_000
    assert (record.observed_time_unix_nano, record.severity_number) == (5, 21)
    assert (record.severity_text, record.body.string_value) == ("critical", "täxt")
    assert (record.trace_id, record.span_id) == (b"\x0a" * 16, b"\x0b" * 8)
    attributes: dict[str, Any] = {}
    for one in record.attributes:
        kind = one.value.WhichOneof("value")
        assert kind is not None
        attributes[one.key] = getattr(one.value, kind)
    assert attributes == {
        "process.pid": 7, "thread.id": 8, "event.sequence": 2**62,
        "event.category": '["process"]', "mxrc.cycle_time_us": 1.5,
        "exception.type": "ERR_TIMEOUT", "labels.instance": "cell", "mxrc.flag": True,
    }  # fmt: skip


def test_what_is_below_the_level_or_no_line_is_left_out() -> None:
    lines = [json.dumps({**FULL, ecs.LEVEL: level}).encode() for level in ecs.LEVELS]
    junk = [b"", b"{", b"[]", b"1", b"{}", json.dumps({**FULL, ecs.TRACE_ID: "xx"}).encode()]
    body, count = request_of([*junk, *lines], {}, "warn", 0)
    assert [one.severity_text for one in records(body)] == ["warn", "error", "critical"]
    assert count == 3


class Receiver:
    """A Transport that answers what it is told to, 200 else."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.bodies: list[bytes] = []

    def send(self, body: bytes, timeout_s: float) -> Answer:
        answer = self.answers.pop(0) if self.answers else Answer(200)
        if 200 <= answer.status < 300:
            self.bodies.append(body)
        return answer

    @property
    def messages(self) -> list[str]:
        return [one.body.string_value for body in self.bodies for one in records(body)]


class Setup:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "log"
        self.folder.mkdir()
        self.state = folder / "otlp.json"
        self.receiver = Receiver()
        self.files = 0
        self.shipper = self.again()

    def again(self) -> OtlpShipper:
        """As after a restart of the process."""
        self.shipper = OtlpShipper(
            self.folder, self.state, lambda: self.receiver, {"rt_process": {}}, "info",
            FakeClock(), logging.getLogger("test.otlp"), "http://receiver",
        )  # fmt: skip
        return self.shipper

    def write(self, *messages: str, end: str = "\n") -> None:
        path = self.folder / "rt_process.log"
        with path.open("a") as file:
            if file.tell() == 0:
                self.files += 1
                stamp = f"2026-01-31T10:00:{self.files:02}.000000Z"
                first = {**FULL, ecs.TIMESTAMP: stamp, ecs.FILE_ID: f"id{self.files}"}
                file.write(json.dumps({**first, ecs.MESSAGE: f"begun{self.files}"}) + "\n")
            rows = [json.dumps({**FULL, ecs.MESSAGE: message}) for message in messages]
            file.write("\n".join(rows) + end)

    def rotate(self) -> Path:
        path = self.folder / "rt_process.log"
        return path.rename(path.with_name(f"{path.name}.20260131T1000{self.files:02}-0000"))


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    made = Setup(tmp_path)
    made.write("before it was switched on")
    assert made.shipper.turn() == otlp_shipper.INTERVAL_S
    assert made.receiver.messages == []
    return made


def test_all_that_is_written_after_the_start_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the thread has its first turn long afterwards."""
    monkeypatch.setattr(OtlpShipper, "_run", lambda _: None)
    made = Setup(tmp_path)
    made.write("before")
    made.shipper.start()
    made.write("after")
    made.shipper.turn()
    assert made.receiver.messages == ["after"]


def test_it_follows_across_rotation_and_restart_and_never_sends_twice(setup: Setup) -> None:
    setup.write("a", "b")
    setup.shipper.turn()
    setup.write("c")
    setup.rotate()
    setup.write("d", end="")  # torn: not whole yet
    setup.shipper.turn()
    assert setup.receiver.messages == ["a", "b", "c", "begun2"]
    setup.again()
    with (setup.folder / "rt_process.log").open("a") as file:
        file.write("\n")
    setup.rotate()
    setup.write("e")
    setup.rotate()
    setup.write("f")
    setup.shipper.turn()
    setup.shipper.turn()
    assert setup.receiver.messages[4:] == ["d", "begun3", "e", "begun4", "f"]
    assert (setup.shipper.delivered, setup.shipper.missed_files) == (5, 0)


def test_an_absent_receiver_costs_nothing_but_time(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    setup.write("a")
    setup.receiver.answers = [
        Answer(0, error="ConnectionError: refused"), Answer(503, b"", "7"), Answer(503),
    ]  # fmt: skip
    with caplog.at_level(logging.INFO, "test.otlp"):
        assert 0 < setup.shipper.turn() <= 1
        assert setup.shipper.turn() == 7
        setup.write("b")
        assert setup.shipper.turn() > 0
        assert setup.receiver.messages == []
        setup.shipper.turn()
    assert setup.receiver.messages == ["a", "b"]
    told = [record.levelname for record in caplog.records]
    assert told == ["WARNING", "WARNING", "INFO"]  # once for each reason


def test_what_is_refused_is_counted_and_passed(setup: Setup) -> None:
    setup.write("a", "b")
    setup.receiver.answers = [Answer(400)]
    setup.shipper.turn()
    setup.write("c", "d")
    partial = ExportLogsServiceResponse()
    partial.partial_success.rejected_log_records = 1
    setup.receiver.answers = [Answer(200, partial.SerializeToString())]
    setup.shipper.turn()
    setup.write("e")
    setup.receiver.answers = [Answer(200, b"\xff{not protobuf")]
    setup.shipper.turn()
    assert setup.receiver.messages == ["c", "d", "e"]
    assert (setup.shipper.delivered, setup.shipper.refused) == (2, 3)
    values = {
        (sample.name, sample.labels.get("outcome")): sample.value
        for metric in setup.shipper.collect()
        for sample in metric.samples
    }
    assert values["mxrc_logging_otlp_records_total", "refused"] == 3


def test_a_file_deleted_before_it_was_sent_is_counted_once(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    setup.write("lost")
    setup.rotate().unlink()
    setup.write("kept")
    setup.receiver.answers = [Answer(503), Answer(503)]
    for _ in range(3):
        setup.shipper.turn()
    assert setup.receiver.messages == ["begun2", "kept"]
    assert setup.shipper.missed_files == 1
    assert "deleted before it was sent" in caplog.text


def test_a_clock_that_was_put_back_does_not_stop_it(setup: Setup) -> None:
    setup.rotate().unlink()
    setup.files = -1
    setup.write("after")
    setup.shipper.turn()
    assert setup.receiver.messages == ["begun0", "after"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"rt_process": 1}', '{"rt_process": {}}'])
def test_damaged_positions_begin_at_the_end_and_say_so(
    setup: Setup, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    setup.write("a")
    setup.shipper.turn()
    setup.state.write_text(damage)
    setup.again().turn()
    setup.write("b")
    setup.shipper.turn()
    assert setup.receiver.messages == ["a", "b"]
    assert ("cannot be read" in caplog.text) == (damage != "[]")


def test_a_long_backlog_goes_in_pieces(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_shipper, "CHUNK", 2000)
    wanted = [f"line {number}" for number in range(50)]
    setup.write(*wanted)
    setup.shipper.turn()
    assert setup.receiver.messages == wanted
    assert len(setup.receiver.bodies) > 5


def test_a_log_that_begins_later_is_sent_from_its_beginning(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.shipper.turn()
    setup.write("first")
    setup.again().turn()
    assert setup.receiver.messages == ["begun1", "first"]
    assert setup.shipper.missed_files == 0


def test_stop_delivers_what_is_left(setup: Setup) -> None:
    began: Callable[[], None] = setup.shipper.start
    began()
    setup.write("last words")
    setup.shipper.stop()
    assert setup.receiver.messages == ["last words"]
