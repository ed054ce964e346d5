"""The beats before the heart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nonrt_process.first_beats import OPTIONS_WITH_VALUE, FirstBeats, told_instance
from shared.core import lib, now_ns
from shared.startup import FILE_OPTIONS
from tests.helpers import unique_instance
from tests.unit.nonrt_process.fakes import real_segment


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ([], None, None),
        ([], "", None),
        ([], "null", None),
        ([], "cell", "cell"),
        ([], '"cell-2"', "cell-2"),
        ([], '{"a": 1}', None),
        (["--instance", "a"], "b", "a"),
        (["--instance=a"], None, "a"),
        (["--instance"], "b", None),
        (["--inst", "a"], "b", None),
        (["--config-dir", "--instance", "--system"], "b", "b"),
        (["--config-dir=x", "--instance", "a"], None, "a"),
        (["--help"], "b", None),
        (["--version"], "b", None),
        (["-h"], "b", None),
        (["stray"], "b", None),
    ],
)
def test_the_instance_is_told_or_not(
    arguments: list[str], variable: str | None, expected: str | None
) -> None:
    environ = {} if variable is None else {"MXRC_INSTANCE__INSTANCE": variable}
    assert told_instance(arguments, environ) == expected


def test_options_are_those_of_the_parser() -> None:
    files = {f"--{option.replace('_', '-')}" for option in FILE_OPTIONS}
    assert set(OPTIONS_WITH_VALUE) == files | {"--instance", "--config-dir"}


def test_it_beats_at_once_until_it_is_stopped(tmp_path: Path) -> None:
    name = unique_instance()
    with real_segment(tmp_path, name) as (_, nonrt):
        status = nonrt.nonrt_status
        before = now_ns()
        beats = FirstBeats(name)
        beats.start()
        first = status.heartbeat_ns
        assert first >= before
        while status.heartbeat_ns == first:
            assert now_ns() - before < 30_000_000_000
        beats.stop()
        last = status.heartbeat_ns
        beats.stop()
        assert status.heartbeat_ns == last
        assert (status.pid, status.start_count) == (0, 0)


def test_a_living_other_process_is_left_alone(tmp_path: Path) -> None:
    name = unique_instance()
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with real_segment(tmp_path, name) as (_, nonrt):
            status = nonrt.nonrt_status
            status.pid = other.pid
            status.process_start = lib.mxrc_process_start(other.pid)
            beats = FirstBeats(name)
            beats.start()
            beats.stop()
            assert (status.pid, status.heartbeat_ns) == (other.pid, 0)
    finally:
        other.kill()
        other.communicate()


def test_without_a_segment_it_does_nothing() -> None:
    for name in (None, unique_instance()):
        beats = FirstBeats(name)
        beats.start()
        beats.stop()
