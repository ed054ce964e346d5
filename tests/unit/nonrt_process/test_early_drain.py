"""The RT log from before the configuration, and how the part `logs` goes on with it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from nonrt_process.application import Application
from nonrt_process.early_drain import EarlyDrain
from nonrt_process.known_start import KnownStart
from nonrt_process.logs import ecs
from shared.clock import SystemClock
from shared.enums import EventKind
from shared.events import message_id
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import fake_context, publish_events, real_segment

LOGS = ("nonrt_process.logs.plugin",)
MISS = message_id("DEADLINE_MISS")


class Heart:
    """Holds one segment."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.problem = None
        self.last_beat_ns = self.started_ns = 0


def numbers(log: Path) -> list[int]:
    documents = [json.loads(line) for line in log.read_bytes().splitlines()]
    return [one[ecs.EVENT_SEQUENCE] // 16 for one in documents if ecs.EVENT_SEQUENCE in one]


def publish(rt: Segment, first: int, count: int) -> None:
    rows = [
        {"kind": EventKind.LOG, "message_id": MISS, "time_ns": first + index}
        for index in range(count)
    ]
    publish_events(rt, rows)


def test_first_batch_is_written_at_once_and_the_part_goes_on(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (rt, nonrt):
        config = fake_context(tmp_path).config.current
        known, clock = KnownStart.of(config.paths), SystemClock()
        log = config.paths.log_dir / "rt_process.log"
        publish(rt, 0, 3)
        early = EarlyDrain(known, config.instance_name, Heart(nonrt), clock)
        early.start()
        assert numbers(log) == [0, 1, 2]
        publish(rt, 3, 2)
        app = Application(config, Heart(nonrt), clock, LOGS, early=early)
        app.start()
        assert [one.name for one in app.consumers()].count("logs") == 1
        assert early.writer.file.max_bytes == config.logging.rotation.max_bytes
        publish(rt, 5, 4)
        app.stop()
        assert numbers(log) == list(range(9))
        assert not early.pump.figures().alive


def test_elsewhere_the_part_makes_its_own(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (rt, nonrt):
        config = fake_context(tmp_path).config.current
        clock = SystemClock()
        known = KnownStart(config.paths.run_dir, tmp_path / "old log")
        publish(rt, 0, 3)
        early = EarlyDrain(known, config.instance_name, Heart(nonrt), clock)
        early.start()
        assert early.pump.stop()
        publish(rt, 3, 2)
        app = Application(config, Heart(nonrt), clock, LOGS)
        app.start()
        app.stop()
        assert numbers(tmp_path / "old log" / "rt_process.log") == [0, 1, 2]
        assert numbers(config.paths.log_dir / "rt_process.log") == [3, 4]


def test_neither_rotates_nor_deletes_before_its_limits_are_known(tmp_path: Path) -> None:
    with real_segment(tmp_path) as (rt, nonrt):
        log_dir = tmp_path / "log"
        log_dir.mkdir()
        old = log_dir / "rt_process.log.20200101T000000-0000"
        old.write_bytes(b"x" * (1 << 20))
        publish(rt, 0, 200)
        early = EarlyDrain(KnownStart(tmp_path, log_dir), "a", Heart(nonrt), SystemClock())
        early.start()
        deadline = time.monotonic() + 10
        while early.pump.figures().lag_events and time.monotonic() < deadline:
            time.sleep(0.01)
        assert early.pump.stop()
        assert sorted(path.name for path in log_dir.iterdir()) == ["rt_process.log", old.name]
