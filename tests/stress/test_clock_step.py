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
from tests.helpers import require_tool, unique_instance
from tests.processes import BIN, Place, Running, run_to_end, wait_for


def written_at(line: str) -> float:
    text = json.loads(line)["@timestamp"].replace("Z", "+00:00")
    return datetime.fromisoformat(text).timestamp()


def lines_of(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def transitions(log: Path, known: int) -> list[str]:
    return [line for line in lines_of(log)[known:] if "RT state" in line]


@pytest.mark.timeout(180)
def test_steps_of_an_hour(tmp_path: Path) -> None:
    library = tmp_path / "clock_step.so"
    source = Path(__file__).with_name("clock_step.c")
    subprocess.run(
        [require_tool("gcc"), "-O2", "-shared", "-fPIC", str(source), "-o", str(library)],
        check=True,
    )
    place = Place(unique_instance("step"), tmp_path)
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("q", 0))
    place.environ |= {"LD_PRELOAD": str(library), "CLOCK_STEP_FILE": str(clock)}
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
            with clock.open("r+b") as file:
                file.write(struct.pack("q", hours * 3600))
            time.sleep(2.5)  # the segment's anchors are looked at once a second
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
