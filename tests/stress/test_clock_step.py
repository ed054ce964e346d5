"""The wall clock is stepped by an hour, forth and back: cycles and roles do not notice, and what is
logged carries the new time.

clock_step.c stands between the processes and CLOCK_REALTIME; the monotonic clock is the kernel's.
"""

from __future__ import annotations

import json
import struct
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from shared.enums import RtState
from tests.helpers import require_tool
from tests.integration.test_end_to_end import (
    Collector,
    check_tree,
    instance_with,
    new_trace,
    start,
    wait_for_end,
)
from tests.processes import BIN, Place, Running, run_to_end, wait_for


def written_at(line: str) -> float:
    text = json.loads(line)["@timestamp"].replace("Z", "+00:00")
    return datetime.fromisoformat(text).timestamp()


def lines_of(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def transitions(log: Path, known: int) -> list[str]:
    return [line for line in lines_of(log)[known:] if "RT state" in line]


class WallClock:
    """CLOCK_REALTIME as the processes of a place see it."""

    def __init__(self, place: Place) -> None:
        library = place.folder / "clock_step.so"
        source = Path(__file__).with_name("clock_step.c")
        subprocess.run(
            [require_tool("gcc"), "-O2", "-shared", "-fPIC", str(source), "-o", str(library)],
            check=True,
        )
        self._file = place.folder / "clock"
        self._file.write_bytes(struct.pack("q", 0))
        place.environ |= {"LD_PRELOAD": str(library), "CLOCK_STEP_FILE": str(self._file)}

    def step(self, hours: int) -> None:
        """To so many hours beside the true time; seen by RT's anchors within a second or two."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", hours * 3600))
        time.sleep(2.5)


@pytest.mark.timeout(180)
def test_steps_of_an_hour(place: Place) -> None:
    clock = WallClock(place)
    up = Running(
        [str(BIN / "mxrc"), "up", "--no-table", "--standbys", "1"],
        place.environ,
        place.folder / "up.out",
    )
    try:
        segment = wait_for(place.segment, "the segment")
        rt, nonrt = segment.rt_status, segment.nonrt_status
        wait_for(lambda: bool(nonrt.ready) and rt.state == RtState.RUNNING, "both processes")
        pids = (int(rt.pid), int(nonrt.pid))
        log = place.folder / "log" / "rt_process.log"
        wait_for(lambda: bool(transitions(log, 0)), "its first lines")
        for hours in (1, -1, 0):
            cycle, run = int(rt.cycle), int(rt.cycles_run)
            clock.step(hours)
            known, began = len(lines_of(log)), time.time() + hours * 3600
            for verb in ("pause", "resume"):
                done = run_to_end(place, "mxrc", "rt", verb)
                assert done.returncode == 0, done.stderr
            found: list[str] = wait_for(lambda: transitions(log, known) or None, "its lines")  # noqa: B023
            assert all(-5 < written_at(line) - began < 30 for line in found), (hours, found)
            assert rt.state == RtState.RUNNING
            assert segment.epoch() == 1
            assert (int(rt.pid), int(nonrt.pid)) == pids
            assert int(rt.cycle) - cycle > 2000, "the grid goes on"
            assert int(rt.cycles_run) - run > 0.9 * (int(rt.cycle) - cycle)
        assert "stalled" not in up.output
        assert "is gone" not in up.output
    finally:
        up.end()


def test_a_trace_across_steps_is_a_tree_in_time(place: Place) -> None:
    """No span leaves its parent or ends before it begins, whatever the wall clock does."""
    clock = WallClock(place)
    names = ["before", "forth", "back", "after"]
    actions = [{"name": name, "type": "wait", "parameters": {"duration_s": 3.0}} for name in names]
    path = place.config_dir / "tasks" / "long_wait.json"
    path.write_text(json.dumps({"id": "long_wait", "sequence": {"name": "s", "actions": actions}}))
    path.chmod(0o640)
    with Collector() as collector, instance_with(place, collector) as (_, nonrt):
        caller = new_trace()
        begun = time.time()
        accepted = start(nonrt, "long_wait", caller)
        time.sleep(3.5)
        clock.step(1)
        clock.step(-1)
        clock.step(0)
        assert wait_for_end(nonrt, "long_wait")["status"] == "COMPLETED"
        trace = caller.trace_id.hex()
        wanted = 3 + len(names)
        spans = wait_for(
            lambda: found if len(found := collector.trace(trace)) >= wanted else None, "all spans"
        )
        check_tree(spans, caller, accepted["server_span"], names)
        lasted = {
            s.attributes["action.id"]: s.end - s.start for s in spans if "action.id" in s.attributes
        }
        print({name: round(ns / 1e9, 3) for name, ns in lasted.items()})
        # A wait is so many cycles: those that a busy machine misses make it longer, by no hour.
        assert all(2.9e9 < ns < 60e9 for ns in lasted.values()), "spans last as long as they did"
        (task,) = [span for span in spans if span.name == "task.execute"]
        assert abs(task.start / 1e9 - begun) < 30, "it began before the first step"
