"""Both processes watch each other: who stands still is replaced, and the work goes on."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.enums import ImageTake, RtState
from shared.process_image import Plant
from shared.segment import Segment
from tests.integration.test_nonrt_process import ANY_TIMING, SERVING, started_nonrt
from tests.lab.arm import sweep
from tests.processes import (
    BIN,
    Beside,
    Place,
    Running,
    run_to_end,
    started_rt,
    wait_for,
    wait_for_state,
)

# 1.2 s: a CPU that stands still for a moment does not count.
QUICK = {"health_check_interval_ms": 500, "health_check_timeout_ms": 400, "restart_delay_ms": 50}


def set_policy(place: Place, **fields: Any) -> None:
    path = place.config_dir / "failover_policy.json"
    document = json.loads(path.read_text())
    for process in ("rt_process", "non_rt_process"):
        document[process].update(fields)
    path.write_text(json.dumps(document))


@contextmanager
def started_up(place: Place) -> Iterator[Running]:
    # A busy machine may have lost a heartbeat meanwhile: RUNNING all the same in the end.
    place.environ["MXRC_RT_SCHEDULE__SAFE_MODE_RESUME"] = "automatic"
    running = Running(
        [str(BIN / "mxrc"), "up", "--no-table"], place.environ, place.folder / "up.out"
    )
    try:
        yield running
    finally:
        running.signal(signal.SIGCONT)
        running.end()


@pytest.fixture
def up(place: Place) -> Iterator[Running]:
    """`mxrc up` with a quick policy."""
    set_policy(place, **QUICK, max_restart_count=3)
    with started_up(place) as running:
        yield running


def current(place: Place, other_than: int = 0) -> Segment:
    """The segment once an RT process runs in it and Non-RT beats."""

    def look() -> Segment | None:
        segment = place.segment()
        if segment is None:
            return None
        status, nonrt = segment.rt_status, segment.nonrt_status
        alive = status.heartbeat_ns and nonrt.ready and status.state == RtState.RUNNING
        return segment if alive and status.pid != other_than else None

    return wait_for(look, "both processes")


def health(place: Place) -> dict[str, Any]:
    endpoints = json.loads((place.folder / "run" / f"{place.instance}.endpoints.json").read_text())
    try:
        with urllib.request.urlopen(f"{endpoints['urls']['http']}/health", timeout=5) as answer:
            body: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        body = json.load(error)
    return body


def test_a_stopped_rt_process_is_replaced(place: Place, up: Running) -> None:
    segment = current(place)
    pid, generation = int(segment.rt_status.pid), segment.generation
    cycles = int(segment.rt_status.cycles_run)
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    segment = current(place, other_than=pid)
    print(f"SIGSTOP to RUNNING with another process: {time.monotonic() - began:.2f} s")
    assert segment.generation == generation
    assert int(segment.rt_status.cycles_run) > cycles
    assert int(segment.rt_status.last_recovery) == 1
    assert not Path(f"/proc/{pid}/status").exists()
    log = (place.folder / "log" / "non_rt_process.log").read_text()
    assert "has failed 3 checks in a row" in log


def test_a_stopped_nonrt_process_is_replaced(place: Place, up: Running) -> None:
    segment = current(place)
    rt, nonrt = int(segment.rt_status.pid), int(segment.nonrt_status.pid)
    os.kill(nonrt, signal.SIGSTOP)
    wait_for(
        lambda: (segment.nonrt_status.pid not in (0, nonrt) and segment.nonrt_status.ready) or None,
        "another Non-RT process",
    )
    assert int(segment.rt_status.pid) == rt
    assert f"Non-RT process {nonrt} is stalled" in up.output


def test_both_stopped_kill_nobody(place: Place, up: Running) -> None:
    """As when the whole machine is paused: who wakes up sees old heartbeats and holds back."""
    segment = current(place)
    pids = [int(segment.rt_status.pid), int(segment.nonrt_status.pid)]
    for _ in range(3):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        time.sleep(1.0)
    assert [int(segment.rt_status.pid), int(segment.nonrt_status.pid)] == pids
    assert "stalled" not in up.output


def test_both_killed_at_once_in_motion(place: Place) -> None:
    """State and program are in the segment, the acceptance in the journal: the task goes on."""
    file = place.config_dir / "tasks" / "sweep.json"
    file.write_text(json.dumps(sweep("sweep", rounds=2, lasts_s=1.0)))
    with started_up(place):
        segment = current(place)
        done = run_to_end(place, "mxrc", "task", "start", "sweep", "--json")
        assert done.returncode == 0, done.stderr
        wait_for(lambda: segment.rt_status.active_tasks == 1, "the task in RT")
        rt, nonrt = int(segment.rt_status.pid), int(segment.nonrt_status.pid)
        generation, cycle = segment.generation, int(segment.rt_status.cycle)
        for pid in (rt, nonrt):
            os.kill(pid, signal.SIGKILL)
        again = current(place, other_than=rt)
        status = again.nonrt_status
        wait_for(lambda: status.pid not in (0, nonrt) and status.ready, "both again")
        assert again.generation == generation
        assert int(again.rt_status.last_recovery) == 1
        assert int(again.rt_status.cycle) > cycle

        def ended() -> dict[str, Any] | None:
            shown = run_to_end(place, "mxrc", "task", "show", "sweep", "--json")
            info: dict[str, Any] = json.loads(shown.stdout) if shown.returncode == 0 else {}
            return info if info.get("ended_at") else None

        assert wait_for(ended, "the end of the task")["status"] == "COMPLETED"
    path = place.folder / "data" / f"tasks-{place.instance}.sqlite3"
    with closing(sqlite3.connect(path)) as journal:
        assert journal.execute("SELECT count(*) FROM execution").fetchone() == (1,)


def test_an_unlinked_segment_makes_rt_step_down(place: Place, up: Running) -> None:
    segment = current(place)
    pid, generation = int(segment.rt_status.pid), segment.generation
    (Path("/dev/shm") / f"mxrc-{place.instance}").unlink()
    segment = current(place, other_than=pid)
    assert segment.generation != generation
    assert "the segment was removed or replaced" in up.output


def test_a_flipped_byte_of_the_header_leads_to_a_new_generation(place: Place, up: Running) -> None:
    """Whoever lives goes on by what is mapped, but nobody else can attach any more."""
    segment = current(place)
    pid, generation = int(segment.rt_status.pid), segment.generation
    with (Path("/dev/shm") / f"mxrc-{place.instance}").open("r+b") as file:
        file.seek(9)  # of the layout version
        byte = file.read(1)[0]
        file.seek(9)
        file.write(bytes([byte ^ 0x10]))
    segment = current(place, other_than=pid)
    assert segment.generation != generation
    assert "replaced a segment in which nobody lived" in up.output
    assert "header has CRC" in up.output
    log = (place.folder / "log" / "non_rt_process.log").read_text()
    assert "the segment is not valid any more" in log


class Arm(Beside):
    """A plant whose axes are where they are commanded; what it was told to do, in order."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._plant = Plant(name, 6, watchdog_s=0.1)
        self.takes: list[ImageTake] = []

    def run(self) -> None:
        position = np.zeros(6)
        with self._plant as plant:
            while not self.ending.wait(0.001):
                plant.write(position, np.zeros(6), np.zeros(6))
                outputs = plant.read()
                if outputs.take is not ImageTake.HELD and outputs.take not in self.takes[-1:]:
                    self.takes.append(outputs.take)


def test_a_truncated_segment(place: Place) -> None:
    """Whoever touches it dies by SIGBUS, the plant's watchdog makes outputs safe, and a new
    generation drives the same plant.
    """
    set_policy(place, **QUICK)
    path = place.config_dir / "robot.json"
    robot = json.loads(path.read_text())
    robot["driver"] = {
        "type": "process_image", "name": place.instance, "input_timeout_ms": 10000,
    }  # fmt: skip
    path.write_text(json.dumps(robot))
    with Arm(place.instance) as arm, started_up(place) as running:
        segment = current(place)
        pid, generation = int(segment.rt_status.pid), segment.generation
        segment.detach()
        with (Path("/dev/shm") / f"mxrc-{place.instance}").open("r+b") as file:
            file.truncate(0)
        wait_for(lambda: "rt_process: killed by SIGBUS" in running.output, "the end by SIGBUS")
        segment = current(place, other_than=pid)
        assert segment.generation != generation
        assert "has 0 bytes" in running.output
        wait_for(lambda: arm.takes[-1] is ImageTake.TAKEN, "commits of the new generation")
        # Before the first commit, driven, safe while nobody drove, driven again.
        assert arm.takes[-3:] == [ImageTake.TAKEN, ImageTake.STOPPED, ImageTake.TAKEN]


def test_restarts_are_counted_over_a_kill_of_the_observer(place: Place, up: Running) -> None:
    segment = current(place)
    first, nonrt = int(segment.rt_status.pid), int(segment.nonrt_status.pid)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: "restart 1 of" in up.output or None, "the first restart")
    segment = current(place, other_than=first)
    os.kill(nonrt, signal.SIGKILL)
    said = f"Non-RT process {nonrt} did not end in order"
    wait_for(lambda: said in up.output or None, "what its successor says")
    time.sleep(0.5)  # it has looked at RT
    os.kill(int(segment.rt_status.pid), signal.SIGKILL)
    wait_for(lambda: "restart 2 of" in up.output or None, "the second restart")
    record = place.folder / "run" / f"{place.instance}.restarts.json"
    assert len(json.loads(record.read_text())["restarts_ns"]) == 2
    current(place, other_than=int(segment.rt_status.pid))
    up.end()
    assert json.loads(record.read_text())["restarts_ns"] == [], "stopped in order, by a person"


def test_a_stop_in_order_is_not_taken_for_a_death(place: Place) -> None:
    """RT alone, as `systemctl stop mxrc-rt` does it; it is often over between two looks."""

    def wait_for_said(times: int) -> None:
        wait_for(lambda: nonrt.output.count("RT stopped in order") == times, "what is said")

    place.environ |= ANY_TIMING
    with started_nonrt(place) as nonrt:
        for stops in range(1, 5):
            with started_rt(place, name=f"rt{stops}") as rt:
                wait_for_state(place, rt)
                nonrt.wait_for_status(*SERVING)
                rt.signal(signal.SIGTERM)
                assert rt.wait() == 0, rt.output
            wait_for_said(stops)
        assert "has died" not in nonrt.output
        assert nonrt.get("/api/v1/failover").json()["restarts_in_window"] == 0


def test_the_limit_a_person_and_reset(place: Place, up: Running) -> None:
    segment = current(place)
    seen = 0
    for _ in range(4):
        segment = current(place, other_than=seen)
        seen = int(segment.rt_status.pid)
        time.sleep(0.5)
        os.kill(seen, signal.SIGKILL)
    wait_for(lambda: "used up" in up.output or None, "the end of restarts")
    wait_for(
        lambda: "MANUAL_INTERVENTION" in health(place)["error_message"] or None, "health says it"
    )
    done = run_to_end(place, "mxrc", "reset")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: "started after a reset" in up.output or None, "the restart")
    wait_for(
        lambda: "MANUAL_INTERVENTION" not in health(place)["error_message"] or None, "clean health"
    )


def test_asked_over_the_segment_it_steps_down(place: Place) -> None:
    from shared.documents import write_admin_request
    from shared.enums import Access

    with started_rt(place) as running:
        wait_for_state(place, running).detach()
        wait_for(lambda: "ready:" in running.output or None, "the main thread")
        with Segment.attach(place.instance, Access.NONRT) as segment:
            write_admin_request(segment, {"operation": "step_down"})
            assert running.wait() == 75
    assert "asked to step down" in running.output
    with started_rt(place, name="second") as second:
        segment = wait_for_state(place, second)
        assert int(segment.rt_status.last_recovery) == 1
