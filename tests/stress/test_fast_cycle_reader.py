"""The executive at 10 kHz beside a reader that is stopped and continued: the reader is told what it
missed to the record, and the time grid of the executive has no hole that it did not count."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.enums import RegionId
from shared.ring import RingReader
from tests.processes import Place, Running, started_rt, wait_for, wait_for_state

PERIOD_US = 100
SLOTS = 4096
ROUNDS = 5

READER = """
import json, sys, time
import numpy as np
from shared.enums import RegionId
from shared.ring import RingReader
from shared.segment import Segment

reader = RingReader(Segment.attach(sys.argv[1]), RegionId.CYCLE_RING)
first = reader.cursor = reader.head
seen = 0
while True:
    before = reader.cursor
    records, lost = reader.read(512)
    numbers = records["seq"].astype(np.uint64) // np.uint64(2) - np.uint64(1)
    if len(numbers):
        assert (np.diff(numbers.astype(np.int64)) > 0).all()
        assert numbers[0] >= before
    seen += len(records)
    print(json.dumps([first, seen, reader.lost, reader.cursor]), flush=True)
    time.sleep(0.005)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(f"fast{tmp_path.name[-12:]}".replace("_", "-"), tmp_path)
    place.environ["MXRC_INSTANCE__CYCLE_RING_SLOTS"] = str(SLOTS)
    schedule = place.config_dir / "rt_schedule.json"
    content = json.loads(schedule.read_text(encoding="utf-8"))
    content["period_us"] = PERIOD_US
    content["entries"] = []
    schedule.write_text(json.dumps(content), encoding="utf-8")
    return place


def _books(reader: Running) -> tuple[int, int, int, int]:
    """First record, seen, lost, cursor."""
    first, seen, lost, cursor = json.loads(reader.output.splitlines()[-1])
    return first, seen, lost, cursor


@pytest.mark.timeout(300)
def test_a_stopped_reader_at_10_khz(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        assert segment.lease.period_ns == PERIOD_US * 1000
        watch = RingReader(segment, RegionId.CYCLE_RING)
        reader = Running(
            [sys.executable, "-c", READER, place.instance], place.environ, place.folder / "r.out"
        )
        try:
            wait_for(lambda: "\n" in reader.output, "the first line of the reader")
            holes = 0
            for _ in range(ROUNDS):
                reader.signal(signal.SIGSTOP)
                start = watch.head
                watch.cursor = start
                last = None
                # Stopped for two times the ring. A reader of our own beside it looks at each cycle.
                while watch.head < start + 2 * SLOTS:
                    records, lost = watch.read(4096)
                    if lost:
                        last = None
                    if len(records):
                        cycle = records["cycle"].astype(np.int64)
                        skipped = records["skipped"].astype(np.int64)
                        ahead = cycle if last is None else np.concatenate(([last], cycle))
                        # A step on the grid is the cycle and the slots that it says were skipped.
                        holes += int((np.diff(ahead) != 1 + skipped[-(len(ahead) - 1) :]).sum())
                        last = int(cycle[-1])
                lost_before = _books(reader)[2]
                reader.signal(signal.SIGCONT)
                wait_for(
                    lambda more=lost_before: _books(reader)[2] > more,  # type: ignore[misc]
                    "the reader to be told what it lost",
                )
            assert holes == 0
            reader.signal(signal.SIGSTOP)
            first, seen, lost, cursor = _books(reader)
            assert seen + lost == cursor - first
            assert rt.process.poll() is None
            print(f"10 kHz: {seen} seen, {lost} lost, {watch.head} written, {ROUNDS} stops")
        finally:
            reader.signal(signal.SIGCONT)
            reader.signal(signal.SIGKILL)
            reader.wait()
