"""The live table on a segment whose records a test has written."""

from __future__ import annotations

import io
import json
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from shared.cli import live
from shared.cli.main import main
from shared.cli.monitor import Monitor, Sample, take_sample
from shared.core import ffi, lib
from shared.documents import write_member_document
from shared.enums import CycleFlag, NameKind, RegionId, RtState
from shared.names import Names
from shared.segment import Segment
from tests.helpers import SHM_DIR

AXES = ["base", "shoulder", "elbow", "wrist_roll", "wrist_pitch", "flange"]


def write_cycles(rt: Segment, nonrt: Segment) -> None:
    ring = ffi.new("struct mxrc_ring *")
    assert lib.mxrc_ring_open(ring, rt.raw, int(RegionId.CYCLE_RING)) == 0
    record = ffi.new("struct mxrc_cycle_record *")
    record.task_name = Names(nonrt).intern(NameKind.TASK, "pick")
    record.action_name = Names(nonrt).intern(NameKind.ACTION, "down")
    for cycle in range(100):
        record.cycle, record.scheduled_ns = cycle, 1_000_000 * (cycle + 1)
        record.wake_ns = record.scheduled_ns + 1000 * (cycle + 1)  # 1 .. 100 us
        record.end_ns = record.wake_ns + 7000
        record.flags = CycleFlag.DEADLINE_MISS if cycle == 50 else 0
        record.skipped = 2 if cycle == 51 else 0
        record.step, record.position[0] = 3, 0.5
        lib.mxrc_ring_publish(ring, record)
    status = rt.rt_status
    status.state, status.cycle, status.cycles_run = int(RtState.RUNNING), 99, 100
    rt.lease.owner = (1 << 16) | (rt.member + 1)
    axes = [{"name": name, "unit": "rad"} for name in AXES]
    write_member_document(rt, {"config": {"axes": axes}, "degraded": ["no right to [SCHED_FIFO]"]})


def rendered(sample: Sample) -> str:
    file = io.StringIO()
    Console(width=100, file=file).print(live.table(sample))
    return file.getvalue()


def test_a_sample_says_what_is_in_the_segment(
    rt: Segment,
    nonrt: Segment,
    reader: Segment,
    instance: str,
) -> None:
    write_cycles(rt, nonrt)
    sample = take_sample(instance, reader)
    assert (sample.state, sample.cycle, sample.epoch) == ("RUNNING", 99, 1)
    assert sample.jitter_p50_us == pytest.approx(50.5)
    assert sample.jitter_max_us == 100.0
    assert sample.cycle_time_max_us == 7.0
    assert sample.missed_lately == 3
    assert (sample.task, sample.action, sample.step) == ("pick", "down", 3)
    assert sample.positions[0] == 0.5
    assert sample.axes == tuple(AXES)
    assert sample.rt_alive
    assert not sample.nonrt_alive
    assert sample.rate_hz == pytest.approx(999.0, abs=0.1)


def test_table_and_line_show_it(
    rt: Segment, nonrt: Segment, reader: Segment, instance: str
) -> None:
    write_cycles(rt, nonrt)
    sample = take_sample(instance, reader)
    text = rendered(sample)
    for word in ("RUNNING", "p99", "pick", "down", "shoulder", "no right to [SCHED_FIFO]"):
        assert word in text
    line = live.line(sample)
    assert "\n" not in line
    assert "RUNNING cycle 99" in line
    assert "task pick/down" in line


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RtState.RUNNING, ""),
        (RtState.PAUSED, "mxrc rt resume"),
        (RtState.READY, "mxrc rt start"),
        (RtState.ERROR, "mxrc rt reset"),
        (RtState.SAFE_MODE, "cause: HEARTBEAT"),
    ],
)
def test_what_keeps_it_from_moving_is_said(
    rt: Segment, nonrt: Segment, reader: Segment, instance: str, state: RtState, words: str
) -> None:
    write_cycles(rt, nonrt)
    rt.rt_status.state, rt.rt_status.safe_cause = int(state), 3
    sample = take_sample(instance, reader)
    assert words in live.line(sample)
    assert words in rendered(sample)
    assert ("`" in live.line(sample)) == (state not in (RtState.RUNNING, RtState.SAFE_MODE))


def test_before_the_first_cycle_nothing_is_made_up(
    rt: Segment, reader: Segment, instance: str
) -> None:
    sample = take_sample(instance, reader)
    assert math.isnan(sample.jitter_p99_us)
    assert sample.positions == ()
    assert "jitter_us p50 -" in live.line(sample)
    assert "none" in rendered(sample)


def test_the_monitor_follows_and_says_what_is_missing(
    rt: Segment, instance: str, tmp_path: Path
) -> None:
    monitor = Monitor(instance)
    assert monitor.sample() is not None
    rt.retire(tmp_path / "lock")
    assert monitor.sample() is None
    assert instance in monitor.problem
    monitor.close()


CUT = """
import sys
from pathlib import Path
from shared.cli import monitor

instance, left, guarded = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "guarded"
real = monitor.take_sample

def cut_short(instance, segment):
    with Path(f"/dev/shm/mxrc-{instance}").open("r+b") as file:
        file.truncate(left)
    return real(instance, segment)

if not guarded:
    monitor.read_guarded = lambda segment, read: read(segment)
looks = monitor.Monitor(instance)
assert looks.sample() is not None
monitor.take_sample = cut_short
assert looks.sample() is None
print(looks.problem)
monitor.take_sample = real
assert looks.sample() is None
looks.close()
"""


def cut_while_looking(instance: str, left: int, how: str) -> subprocess.CompletedProcess[str]:
    """A process whose segment is cut short between its look and its reading."""
    copy = f"{instance}-cut"
    shutil.copy(SHM_DIR / f"mxrc-{instance}", SHM_DIR / f"mxrc-{copy}")
    try:
        return subprocess.run(
            [sys.executable, "-c", CUT, copy, str(left), how],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (SHM_DIR / f"mxrc-{copy}").unlink()


@pytest.mark.parametrize("left", [0, 4096, 65536, 300_000])
def test_a_segment_cut_short_while_it_is_looked_at(rt: Segment, instance: str, left: int) -> None:
    done = cut_while_looking(instance, left, "guarded")
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout


def test_without_its_guard_it_would_die(rt: Segment, instance: str) -> None:
    assert cut_while_looking(instance, 0, "bare").returncode == -signal.SIGBUS


def test_top_as_json(
    rt: Segment,
    nonrt: Segment,
    instance: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_cycles(rt, nonrt)
    assert (
        main(["shm", "top", "--instance", instance, "-n", "2", "--interval", "0.05", "--json"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["sample"]["task"] == "pick"
    assert json.loads(lines[0])["sample"]["nonrt_age_ms"] is None
