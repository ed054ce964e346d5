from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nonrt_process.consumer import NotYet
from nonrt_process.interfaces import HealthStatus
from nonrt_process.logs import ecs, rt_log
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.first_line import first_line
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.rt_log import RtLog, last_written
from nonrt_process.logs.statistics import Statistics
from nonrt_process.pump import Pump
from shared.clock import FakeClock
from shared.enums import EventKind, Level, NameKind, Result, RtEvent, RtState
from shared.events import message_id
from shared.names import Names
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import (
    batch,
    events,
    fake_context,
    publish_events,
    real_segment,
)

MISS = message_id("DEADLINE_MISS")


class Writer:
    """An RtLog on a file, as one process has it; a new one is the process after it."""

    def __init__(self, folder: Path, max_bytes: int = 1 << 20) -> None:
        self.said: list[str] = []
        self.clock = FakeClock()
        self.file = LogFile(
            folder / "rt_process.log",
            self.clock,
            lambda: first_line("rt_process", "test", self.clock),
            max_bytes=max_bytes,
            max_age_hours=24,
            total_quota_bytes=1 << 40,
        )
        self.health = FileHealth("rt_log_file", self.file.path, self.said.append)
        self.statistics = Statistics()
        self.log = RtLog(self.file, self.health, self.statistics, self.clock, "test")


def documents(file: LogFile) -> list[dict[str, Any]]:
    lines = [
        line for path in (*file.rotated(), file.path) for line in path.read_bytes().splitlines()
    ]
    return [document for line in lines if ecs.FILE_ID not in (document := json.loads(line))]


def miss(n: int, lane: int = 0) -> dict[str, Any]:
    return {
        "time_ns": 1_000_000_000 + n * 1000 + lane,
        "kind": EventKind.LOG,
        "level": Level.ERROR,
        "message_id": MISS,
        "cycle": n,
        "args": (1.5, 2.0, float("nan"), n, 0, 0),
    }


def test_document_of_an_event(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (rt, nonrt):
        action = Names(nonrt).intern(NameKind.ACTION, "pick")
        sequence = Names(nonrt).intern(NameKind.SEQUENCE, "main")
        writer = Writer(tmp_path)
        writer.log.on_attach(nonrt)
        row = miss(7) | {
            "trace_id": range(16),
            "span_id": range(1, 9),
            "execution_id": 12345,
            "task_id": "täsk_1".encode(),
            "sequence_name": sequence,
            "action_name": action,
            "state": RtState.RUNNING,
            "slot": 3,
            "epoch": 2,
            "suppressed": 4,
            "tid": 77,
        }
        writer.log.on_batch(batch(events([row], first=5), lanes=[2], generation=rt.generation))
    (document,) = documents(writer.file)
    assert list(document)[:3] == [ecs.TIMESTAMP, ecs.LEVEL, ecs.MESSAGE]
    assert (
        document.items()
        >= {
            "log.level": "error",
            "log.logger": "rt.cycle",
            "message": "Deadline miss: outputs committed 1.5 us after the deadline, "
            "woke 2 us late, worked nan us",
            "process.name": "rt_process",
            "process.thread.id": 77,
            "process.thread.name": "rt",
            "ecs.version": ecs.ECS_VERSION,
            "event.kind": "event",
            "event.code": "DEADLINE_MISS",
            "event.sequence": 5 * 16 + 2,
            "mxrc.generation": rt.generation,
            "trace.id": bytes(range(16)).hex(),
            "span.id": bytes(range(1, 9)).hex(),
            "mxrc.execution_id": 12345,
            "mxrc.task_id": "täsk_1",
            "mxrc.sequence_id": "main",
            "mxrc.action_id": "pick",
            "mxrc.rt.state": "RUNNING",
            "mxrc.rt.slot": 3,
            "mxrc.rt.cycle": 7,
            "mxrc.rt.epoch": 2,
            "mxrc.suppressed": 4,
            "mxrc.late_us": 1.5,
            "mxrc.misses": 7,
        }.items()
    )
    assert ecs.CYCLE_TIME not in document, "a NaN is no number"


def test_enumerations_errors_and_categories(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (rt, nonrt):
        writer = Writer(tmp_path)
        writer.log.on_attach(nonrt)
        rows: list[dict[str, Any]] = [
            {
                "message_id": message_id("STATE_CHANGED"),
                "level": Level.ERROR,
                "kind": EventKind.STATE,
                "args": (RtState.READY, RtState.RUNNING, RtEvent.START, 0, 0, 0),
            },
            {
                "message_id": message_id("TASK_FAILED"),
                "level": Level.ERROR,
                "kind": EventKind.TASK,
                "error_code": Result.ERR_TIMEOUT,
                "args": (3, Result.ERR_TIMEOUT, 0, 0, 0, 0),
            },
            {"message_id": 0, "kind": EventKind.TASK},
            {"message_id": 999, "level": 99, "args": (float("inf"), 1, 2, 3, 4, 5)},
        ]
        writer.log.on_batch(batch(events(rows), lanes=[1] * 4, generation=rt.generation))
    changed, failed, unknown = documents(writer.file)
    assert changed["mxrc.from"] == "READY"
    assert changed["mxrc.to"] == "RUNNING"
    assert changed["event.category"] == ["process"]
    assert changed["process.thread.name"] == "main"
    assert failed["error.type"] == "ERR_TIMEOUT"
    assert failed["error.message"] == failed["message"]
    assert failed["mxrc.step"] == 3
    assert unknown["message"].startswith("Message 999")
    assert unknown["log.level"] == "critical"


def test_lines_come_from_the_ring_through_a_pump(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    with real_segment(tmp_path) as (rt, nonrt):
        pump = Pump(fake_context(tmp_path, segment=nonrt), writer.log)
        publish_events(rt, [miss(n) for n in range(20)], lane=0)
        publish_events(rt, [miss(n) for n in range(5)], lane=1)
        pump.turn()
        publish_events(rt, [miss(n) for n in range(20, 30)], lane=0)
        pump.turn()
        pump.close()
    found = Counter(one["event.sequence"] for one in documents(writer.file))
    assert found == Counter([*(n * 16 for n in range(30)), *(n * 16 + 1 for n in range(5))])
    assert sum(writer.statistics.latency_us().counts) == 35


def test_many_lines_are_written_in_larger_pieces(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    most = rt_log.BUSY_EVENTS
    with real_segment(tmp_path, event_slots=1024) as (_, nonrt):
        writer.log.on_attach(nonrt)
        found = []
        for first, count in ((0, 1), (1, most), (1000, most - 1), (2000, 65), (3000, 64)):
            given = events([miss(first + n) for n in range(count)])
            writer.log.on_batch(batch(given, generation=nonrt.generation))
            found.append(writer.log.interval_s)
    rare, often = rt_log.BUSY_INTERVAL_S, rt_log.INTERVAL_S
    assert found == [often, rare, often, often, rare], "more than 1/16 of a lane is not waited for"
    assert rt_log.BUSY_INTERVAL_S < 1, "an event is in the file within a second"


def test_loss_is_said(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    with real_segment(tmp_path) as (rt, nonrt):
        pump = Pump(fake_context(tmp_path, segment=nonrt), writer.log)
        publish_events(rt, [miss(n) for n in range(1000)])
        pump.turn()
        pump.close()
    first, *rest = documents(writer.file)
    assert first["log.level"] == "error"
    assert first["event.code"] == "EVENTS_LOST"
    assert first["mxrc.lost"] + len(rest) == 1000
    assert rest[-1]["event.sequence"] == 999 * 16
    assert writer.statistics.dropped()["rt_process"] == first["mxrc.lost"]


def test_disk_that_fails_keeps_the_cursor_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path)
    with real_segment(tmp_path) as (rt, nonrt):
        pump = Pump(fake_context(tmp_path, segment=nonrt), writer.log)
        publish_events(rt, [miss(0)])
        pump.turn()
        real = LogFile.append

        def refuse(self: LogFile, lines: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(LogFile, "append", refuse)
        for n in range(1, 6):
            publish_events(rt, [miss(n)])
            pump.turn()
        finding = writer.health.check(0)
        assert finding.status == HealthStatus.DEGRADED
        assert "No space left on device" in finding.reason
        assert str(writer.file.path) in finding.reason
        assert len(writer.said) == 1, "said once, not for every try"
        assert pump.figures().lag_events == 5
        monkeypatch.setattr(LogFile, "append", real)
        pump.turn()
        pump.close()
        assert pump.failures == 0
    assert [one["event.sequence"] // 16 for one in documents(writer.file)] == list(range(6))
    assert writer.health.check(0).status == HealthStatus.HEALTHY
    assert len(writer.said) == 2


def test_end_of_the_process_with_a_full_disk_keeps_the_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_segment(tmp_path) as (rt, nonrt):
        first = Writer(tmp_path)
        pump = Pump(fake_context(tmp_path, segment=nonrt), first.log)
        publish_events(rt, [miss(0), miss(1)])

        def refuse(self: LogFile, lines: bytes) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(LogFile, "append", refuse)
            pump.turn()
            pump.close()
        second = Writer(tmp_path)
        pump = Pump(fake_context(tmp_path, segment=nonrt), second.log)
        pump.turn()
        pump.close()
    assert [one["event.sequence"] // 16 for one in documents(second.file)] == [0, 1]


# ---- exactly once after a crash ----------------------------------------------------------------

BATCHES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6)
"""Lanes of the events of each batch."""


def run_with_crash(
    folder: Path, nonrt: Segment, batches: list[list[int]], kept_bytes: int, max_bytes: int
) -> list[dict[str, Any]]:
    """Write batches; the process dies in the last write, `kept_bytes` of which reach the disk,
    before its cursor moves. The next one is given the last batch again, and more behind it.
    """
    counters = [0] * 16
    writer = Writer(folder, max_bytes)
    writer.log.on_attach(nonrt)
    given = []
    for lanes in batches:
        rows = [miss(counters[lane] + at, lane) for at, lane in enumerate(lanes)]
        records = events(rows)
        for at, lane in enumerate(lanes):
            records[at]["seq"] = 2 * counters[lane] + 2
            counters[lane] += 1
        given.append((records, lanes))
    for records, lanes in given:
        before = writer.file.path.stat().st_size if writer.file.path.exists() else 0
        inode = writer.file.path.stat().st_ino if writer.file.path.exists() else 0
        writer.log.on_batch(batch(records, lanes=lanes, generation=nonrt.generation))
    if writer.file.path.stat().st_ino != inode:
        before = 0
    size = writer.file.path.stat().st_size
    with writer.file.path.open("r+b") as raw:
        raw.truncate(before + kept_bytes % (size - before + 1))
    after = Writer(folder, max_bytes)
    after.log.on_attach(nonrt)
    records, lanes = given[-1]
    after.log.on_batch(batch(records, lanes=lanes, generation=nonrt.generation))
    more = events([miss(10_000)])
    more[0]["seq"] = 2 * counters[0] + 2
    after.log.on_batch(batch(more, lanes=[0], generation=nonrt.generation))
    counters[0] += 1
    found = Counter(one["event.sequence"] for one in documents(after.file))
    wanted = Counter(n * 16 + lane for lane, count in enumerate(counters) for n in range(count))
    assert found == wanted
    return documents(after.file)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    batches=BATCHES, kept=st.integers(0, 10_000), max_bytes=st.sampled_from([2000, 5000, 1 << 20])
)
def test_each_event_is_written_once_whatever_was_on_disk(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[int]],
    kept: int,
    max_bytes: int,
) -> None:
    folder = tmp_path_factory.mktemp("crash")
    with real_segment(folder) as (_, nonrt):
        run_with_crash(folder, nonrt, batches, kept, max_bytes)


def test_the_check_sees_a_writer_that_does_not_look_at_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rt_log, "last_written", lambda lines, generation, starts: {})
    with real_segment(tmp_path) as (_, nonrt), pytest.raises(AssertionError):
        run_with_crash(tmp_path, nonrt, [[0, 1], [0, 0, 1]], 100_000, 1 << 20)


def test_lines_of_another_generation_do_not_count(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (_, nonrt):
        old = Writer(tmp_path)
        old.log.on_attach(nonrt)
        old.log.on_batch(batch(events([miss(n) for n in range(5)]), generation=nonrt.generation))
    with real_segment(tmp_path) as (_, nonrt):
        new = Writer(tmp_path)
        new.log.on_attach(nonrt)
        new.log.on_batch(batch(events([miss(n) for n in range(3)]), generation=nonrt.generation))
    assert len(documents(new.file)) == 8


def test_unreadable_lines_are_passed_over() -> None:
    def line(number: int, lane: int = 0) -> bytes:
        return json.dumps({ecs.EVENT_SEQUENCE: number * 16 + lane, ecs.GENERATION: 7}).encode()

    lines = [
        b"junk",
        b"[1]",
        b'{"event.sequence":"x"}',
        b"",
        line(12),
        line(3, 1),
        line(9),
        line(1),
    ]
    assert last_written(lines, 7, {0: 10, 1: 0}) == {0: 12, 1: 3}


def test_unreadable_file_is_not_written_blindly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: LogFile) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(LogFile, "lines_from_end", refuse)
    with real_segment(tmp_path) as (_, nonrt):
        writer = Writer(tmp_path)
        writer.log.on_attach(nonrt)
        with pytest.raises(NotYet):
            writer.log.on_batch(batch(events([miss(0)]), generation=nonrt.generation))
    assert "Permission denied" in writer.said[0]
