"""RT events and their file under kill -9, rotation and a full disk: once in the files or counted.

The writer is a process of its own over a real segment; it is killed at random while another thread
of the test goes on publishing 5,000 events/s.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nonrt_process.logs import ecs
from shared.core import lib
from shared.enums import EventKind, Level
from shared.events import message_id
from shared.segment import Segment
from tests.helpers import ROOT, skip_or_fail
from tests.unit.nonrt_process.fakes import publish_events, real_segment

RATE = 5000
WRITER = """
import sys, time, signal
from pathlib import Path
from nonrt_process.logs.file_health import FileHealth
from nonrt_process.logs.log_file import LogFile
from nonrt_process.logs.first_line import first_line
from nonrt_process.logs.rt_log import RtLog
from nonrt_process.logs.statistics import Statistics
from nonrt_process.pump import Pump
from shared.clock import SystemClock
from shared.enums import Access
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import fake_context

instance, folder, scratch = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
clock = SystemClock()
segment = Segment.attach(instance, Access.NONRT)
file = LogFile(folder / "rt_process.log", clock, lambda: first_line("rt_process", "s", clock),
               max_bytes=1 << 20, max_age_hours=24, total_quota_bytes=1 << 40)
health = FileHealth("rt_log_file", file.path, lambda line: print(line, flush=True))
pump = Pump(fake_context(scratch, segment=segment), RtLog(file, health, Statistics(), clock, "s"))
ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
print("ready", flush=True)
while not ending:
    pump.turn()
    time.sleep(0.02)
pump.turn()
pump.close()
"""


class Publisher:
    """Publishes events of RT at a steady rate from a thread."""

    def __init__(self, rt: Segment) -> None:
        self._rt = rt
        self.count = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        miss = message_id("DEADLINE_MISS")
        while not self._ending.is_set():
            due = int((time.monotonic() - began) * RATE) - self.count
            if due > 0:
                now = int(lib.mxrc_now_ns())
                rows = [
                    {
                        "time_ns": now, "kind": EventKind.LOG, "level": Level.ERROR,
                        "message_id": miss, "cycle": self.count + at, "args": (1, 2, 3, 4, 0, 0),
                    }
                    for at in range(min(due, 200))
                ]  # fmt: skip
                publish_events(self._rt, rows)
                self.count += len(rows)
            time.sleep(0.005)


class Writer:
    """The process that writes the file."""

    def __init__(self, instance: str, folder: Path, scratch: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, instance, str(folder), str(scratch)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def account(folder: Path, published: int) -> tuple[int, int]:
    """Events written and events counted as lost; each exactly one of both."""
    seen: Counter[int] = Counter()
    lost: Counter[int] = Counter()
    for path in sorted(folder.glob("rt_process.log*")):
        raw = path.read_bytes()
        assert raw.endswith(b"\n"), f"{path} ends in a torn line"
        for line in raw.splitlines():
            document = json.loads(line)
            if ecs.EVENT_SEQUENCE in document:
                seen[document[ecs.EVENT_SEQUENCE] // 16] += 1
            elif ecs.LOST_FIRST in document:
                first, last = document[ecs.LOST_FIRST] // 16, document[ecs.LOST_LAST] // 16
                assert last - first + 1 == document[ecs.LOST]
                lost.update(range(first, last + 1))
    assert not [number for number, times in seen.items() if times > 1], "written twice"
    assert not [number for number, times in lost.items() if times > 1], "lost twice"
    assert not seen.keys() & lost.keys(), "written and said to be lost"
    missing = set(range(published)) - seen.keys() - lost.keys()
    assert not missing, f"{len(missing)} neither written nor counted, from {min(missing)}"
    return len(seen), len(lost)


def kill_at_random(tmp_path: Path, seconds: float, slots: int, pause_s: float) -> tuple[int, ...]:
    folder, scratch = tmp_path / "log", tmp_path / "scratch"
    scratch.mkdir()
    dice = random.Random(4711)
    kills = 0
    with real_segment(tmp_path, event_slots=slots) as (rt, _):
        instance = rt.name.removeprefix("/mxrc-")
        publisher = Publisher(rt)
        publisher.start()
        try:
            ending = time.monotonic() + seconds
            # A loaded machine starts few writers in that time; without a kill nothing is shown.
            while time.monotonic() < ending or kills < 3:
                writer = Writer(instance, folder, scratch)
                time.sleep(dice.uniform(0.0, 1.0))
                writer.end(signal.SIGKILL)
                kills += 1
                time.sleep(dice.uniform(0, pause_s))
        finally:
            publisher.stop()
        writer = Writer(instance, folder, scratch)
        time.sleep(1)
        writer.end(signal.SIGTERM)
        count = publisher.count
    written, lost = account(folder, count)
    files = len(list(folder.iterdir()))
    print(f"{count} events, {kills} kills, {files} files: {written} written, {lost} counted lost")
    return written, lost, kills, files


@pytest.mark.short
def test_kill_9_under_load_short(tmp_path: Path) -> None:
    written, _, kills, _ = kill_at_random(tmp_path, 10, 1 << 16, 0.1)
    assert written
    assert kills > 1


@pytest.mark.timeout(300)
def test_kill_9_for_60_s_at_5000_events_a_second_across_rotation(tmp_path: Path) -> None:
    written, _, kills, files = kill_at_random(tmp_path, 60, 1 << 16, 0.2)
    assert written > 60 * RATE / 4
    assert kills > 5
    assert files > 5


@pytest.mark.timeout(300)
def test_what_a_dead_writer_misses_is_counted_once(tmp_path: Path) -> None:
    _, lost, _, _ = kill_at_random(tmp_path, 30, 1 << 12, 2.0)
    assert lost, "a ring of 4096 events is overwritten while nobody reads"


def test_the_accounting_sees_what_is_wrong(tmp_path: Path) -> None:
    def file(*sequences: int, lost: tuple[int, int] | None = None) -> Path:
        folder = tmp_path / str(random.random())
        folder.mkdir()
        rows = [{ecs.EVENT_SEQUENCE: number * 16} for number in sequences]
        if lost is not None:
            count = lost[1] - lost[0] + 1
            first, last = lost[0] * 16, lost[1] * 16
            rows.append({ecs.LOST: count, ecs.LOST_FIRST: first, ecs.LOST_LAST: last})
        (folder / "rt_process.log").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    assert account(file(0, 2, lost=(1, 1)), 3) == (2, 1)
    for wrong in (file(0, 0, 1, 2), file(0, 2), file(0, 1, 2, lost=(2, 2))):
        with pytest.raises(AssertionError):
            account(wrong, 3)


def resident_kb(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@contextmanager
def small_filesystem(folder: Path, size: str) -> Iterator[None]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        skip_or_fail("needs root and mount for a small filesystem", "mount")
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)])
    if done.returncode:
        skip_or_fail("tmpfs cannot be mounted here", "mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.short
def test_full_disk_and_room_again(tmp_path: Path) -> None:
    folder, scratch = tmp_path / "log", tmp_path / "scratch"
    scratch.mkdir()
    with (
        small_filesystem(folder, "16m"),
        real_segment(tmp_path, event_slots=1 << 12) as (rt, _),
    ):
        instance = rt.name.removeprefix("/mxrc-")
        publisher = Publisher(rt)
        writer = Writer(instance, folder, scratch)
        ballast = folder / "ballast"
        publisher.start()
        try:
            time.sleep(1)
            with ballast.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass
            before_kb = resident_kb(writer.process.pid)
            time.sleep(3)
            grown_kb = resident_kb(writer.process.pid) - before_kb
            ballast.unlink()
            time.sleep(1)
        finally:
            publisher.stop()
        time.sleep(1)
        writer.end(signal.SIGTERM)
        written, lost = account(folder, publisher.count)
    print(
        f"{publisher.count} events: {written} written, {lost} counted lost while the disk was full"
    )
    assert written
    # 15,000 events of 256 bytes and 700 bytes a line would be some 15 MB.
    assert grown_kb < 8 << 10, "the ring is the backlog, not the memory of the writer"
    assert lost, "three seconds at 5,000/s do not fit a ring of 4,096"
