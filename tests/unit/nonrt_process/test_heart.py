"""The heart: attach, identity, other processes, generations."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from nonrt_process.heart import LOOK_NS, PATIENCE_NS, SegmentHeart
from shared.clock import FakeClock
from shared.core import layout_hash, lib
from shared.enums import Access
from shared.segment import Segment
from tests.helpers import unique_instance
from tests.unit.nonrt_process.fakes import real_segment
from tests.unit.shared.test_segment import as_if_built_from

LOG = logging.getLogger("nonrt.test")


def look(heart: SegmentHeart, clock: FakeClock) -> None:
    """A turn in which the heart looks for the segment."""
    clock.advance(LOOK_NS)
    heart.turn()


def test_without_a_segment_it_says_what_to_start() -> None:
    clock = FakeClock()
    heart = SegmentHeart(unique_instance(), clock, LOG)
    look(heart, clock)
    assert heart.segment is None
    assert heart.problem is not None
    assert heart.problem.kind == "absent"
    assert "mxrc-rt" in heart.problem.message
    assert heart.last_beat_ns == clock.monotonic_ns()


def test_it_beats_at_once_and_names_itself_when_claimed(tmp_path: Path) -> None:
    name = unique_instance()
    with real_segment(tmp_path, name) as (_, nonrt):
        clock = FakeClock()
        heart = SegmentHeart(name, clock, LOG)
        look(heart, clock)
        status = nonrt.nonrt_status
        assert heart.problem is None
        assert status.heartbeat_ns == clock.monotonic_ns()
        assert (status.pid, status.start_count) == (0, 0)
        heart.claim()
        heart.set_ready(True)
        assert (status.pid, status.ready, status.start_count) == (os.getpid(), 1, 1)
        assert status.process_start == lib.mxrc_process_start(os.getpid())
        clock.advance(20_000_000)
        heart.turn()
        assert status.heartbeat_ns == clock.monotonic_ns()
        heart.stop()
        assert (status.pid, status.ready) == (0, 0)


def test_a_successor_counts_as_a_restart(tmp_path: Path) -> None:
    name = unique_instance()
    with real_segment(tmp_path, name) as (_, nonrt):
        for expected in (1, 2):
            clock = FakeClock()
            heart = SegmentHeart(name, clock, LOG)
            heart.claim()
            look(heart, clock)
            assert nonrt.nonrt_status.start_count == expected
            assert heart.killed_before == (2**22 if expected == 2 else None)
            nonrt.nonrt_status.pid = 2**22  # killed: its pid belongs to nobody
            del heart


def test_a_living_other_process_is_left_alone(tmp_path: Path) -> None:
    name = unique_instance()
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with real_segment(tmp_path, name) as (_, nonrt):
            status = nonrt.nonrt_status
            status.pid = other.pid
            status.process_start = lib.mxrc_process_start(other.pid)
            clock = FakeClock()
            heart = SegmentHeart(name, clock, LOG)
            heart.claim()
            look(heart, clock)
            assert heart.segment is None
            assert heart.problem is not None
            assert heart.problem.kind == "taken"
            assert str(other.pid) in heart.problem.message
            assert status.heartbeat_ns == 0
            other.communicate(b"\n")
            look(heart, clock)
            assert heart.segment is not None
            assert (status.pid, heart.problem) == (os.getpid(), None)
    finally:
        other.kill()
        other.wait()


def test_it_follows_a_new_generation(tmp_path: Path) -> None:
    name = unique_instance()
    clock = FakeClock()
    heart = SegmentHeart(name, clock, LOG)
    heart.claim()
    generations = []
    for _ in range(2):
        with real_segment(tmp_path, name) as (_, nonrt):
            look(heart, clock)
            assert heart.segment is not None
            generations.append(heart.segment.generation)
            assert nonrt.nonrt_status.pid == os.getpid()
            assert nonrt.nonrt_status.start_count == 1
        look(heart, clock)
        assert heart.segment is None
        assert heart.problem is not None
        assert heart.problem.kind == "stopped"
    assert generations[0] != generations[1]


def test_a_removed_segment_is_absent_and_not_stopped(tmp_path: Path) -> None:
    name = unique_instance()
    clock = FakeClock()
    heart = SegmentHeart(name, clock, LOG)
    path = Path(f"/dev/shm/mxrc-{name}")
    with real_segment(tmp_path, name):
        look(heart, clock)
        assert heart.segment is not None
        hidden = path.rename(path.with_name(f"hidden-{name}"))
        look(heart, clock)
        hidden.rename(path)
    assert heart.segment is None
    assert heart.problem is not None
    assert heart.problem.kind == "absent"


def test_another_layout_is_named_with_both_hashes(tmp_path: Path) -> None:
    name = unique_instance()
    with real_segment(tmp_path, name):
        clock = FakeClock()
        heart = SegmentHeart(name, clock, LOG)
        ours = layout_hash()
        with as_if_built_from(name, ours ^ 1):
            look(heart, clock)
            assert heart.problem is not None
            assert heart.problem.kind == "layout"
            assert f"{ours:x}" in heart.problem.message.lower()
            assert f"{ours ^ 1:x}" in heart.problem.message.lower()
        look(heart, clock)
        assert heart.problem is None


def test_the_same_problem_is_said_once(caplog: object) -> None:
    clock = FakeClock()
    records: list[logging.LogRecord] = []
    log = logging.getLogger("nonrt.test.once")
    log.addFilter(lambda record: records.append(record) or False)  # type: ignore[func-returns-value]
    heart = SegmentHeart(unique_instance(), clock, log)
    look(heart, clock)
    assert records == []  # RT has just been started too
    clock.advance(PATIENCE_NS)
    for _ in range(5):
        look(heart, clock)
    assert [record.levelname for record in records] == ["WARNING"]


def test_what_was_attached_stays_readable(tmp_path: Path) -> None:
    name = unique_instance()
    with real_segment(tmp_path, name) as (rt, _):
        held = Segment.attach(name, Access.READ)
        generation = rt.generation
    assert held.header.generation == generation
