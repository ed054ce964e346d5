"""Real processes: hand-over and take-over, over HTTP and the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from shared.enums import RegionId, Role
from shared.layout import Records
from shared.ring import RingReader
from shared.segment import Segment
from tests.processes import (
    BIN,
    PATIENT,
    Place,
    Running,
    kill,
    run_to_end,
    started_rt,
    wait_for,
    wait_for_state,
)


def standbys(segment: Segment) -> list[int]:
    members = [segment.member_struct(index) for index in range(segment.max_members)]
    return [int(member.pid) for member in members if member.role == Role.STANDBY]


def is_primary(segment: Segment, pid: int) -> bool:
    return bool(segment.rt_status.pid == pid)


def changes(segment: Segment) -> list[tuple[int, int]]:
    """(epoch, slots without a PRIMARY before it) of each change of PRIMARY."""
    records: Records = RingReader(segment, RegionId.CYCLE_RING).latest(16000).records
    places = np.nonzero(np.diff(records["epoch"].astype(np.int64)))[0]
    cycle = records["cycle"].astype(np.int64)
    return [
        (int(records["epoch"][i + 1]), int(cycle[i + 1] - cycle[i] - 1)) for i in places.tolist()
    ]


def test_the_standby_goes_on_when_the_primary_is_killed(place: Place) -> None:
    place.environ |= PATIENT
    with started_rt(place) as first:
        segment = wait_for_state(place, first)
        with started_rt(place, name="second") as second:
            wait_for(lambda: standbys(segment) == [second.pid], "a standby")
            wait_for(lambda: "ready: STANDBY" in second.output, "the line")
            member = segment.member_struct(1 - (segment.primary() or 0))
            assert member.cpu != segment.rt_status.cpu, "never on the CPU of the PRIMARY"
            before = segment.rt_status.cycle
            kill(first)
            wait_for(lambda: segment.rt_status.pid == second.pid, "the take-over")
            wait_for(lambda: segment.rt_status.cycle > before + 100, "cycles")
            assert segment.epoch() == 2
            assert segment.rt_status.last_recovery == 1
            wait_for(lambda: "became PRIMARY with epoch 2" in second.output, "the line")
            second.signal(signal.SIGTERM)
            assert second.wait() == 0, second.output
    assert place.shm_files() == []


@pytest.fixture
def one_cpu(place: Place) -> Iterator[int]:
    """The only CPU of a cpuset that is made for the test."""
    root = Path("/sys/fs/cgroup/cpuset")
    folder = root / place.instance
    cpu = max(os.sched_getaffinity(0))
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cpuset hierarchy to make one in: {error}")
    try:
        (folder / "cpuset.mems").write_text((root / "cpuset.mems").read_text())
        (folder / "cpuset.cpus").write_text(str(cpu))
        yield cpu
    finally:
        wait_for(lambda: not (folder / "tasks").read_text(), "the end of its processes")
        folder.rmdir()


def test_on_the_only_cpu_a_standby_stands_by_all_the_same(place: Place, one_cpu: int) -> None:
    """Where there is another one it is never on the CPU of the PRIMARY; see the test before."""
    cpu = one_cpu
    place.environ |= PATIENT
    tasks = f"/sys/fs/cgroup/cpuset/{place.instance}/tasks"
    alone = ("sh", "-c", f'echo $$ > {tasks}; exec "$@"', "sh")
    with started_rt(place, prefix=alone) as first:
        segment = wait_for_state(place, first)
        with started_rt(place, name="second", prefix=alone) as second:
            wait_for(lambda: standbys(segment) == [second.pid], "a standby")
            member = segment.member_struct(1 - (segment.primary() or 0))
            assert member.cpu == segment.rt_status.cpu == cpu
            before = segment.rt_status.cycle
            kill(first)
            wait_for(lambda: segment.rt_status.pid == second.pid, "the take-over")
            wait_for(lambda: segment.rt_status.cycle > before + 100, "cycles")


def test_a_stopped_primary_is_fenced_off_and_killed(place: Place) -> None:
    set_stall_timeout(place, 1000)
    with started_rt(place) as first:
        segment = wait_for_state(place, first)
        with started_rt(place, name="second") as second:
            wait_for(lambda: standbys(segment) == [second.pid], "a standby")
            first.signal(signal.SIGSTOP)
            wait_for(lambda: segment.rt_status.pid == second.pid, "the take-over")
            assert first.wait() == -signal.SIGKILL
            assert segment.epoch() == segment.lease.admitted_epoch == 2


def test_a_standby_stops_alone(place: Place) -> None:
    place.environ |= PATIENT
    with started_rt(place) as first:
        segment = wait_for_state(place, first)
        with started_rt(place, name="second") as second:
            wait_for(lambda: standbys(segment) == [second.pid], "a standby")
            second.signal(signal.SIGTERM)
            assert second.wait() == 0, second.output
        before = segment.rt_status.cycle
        wait_for(lambda: segment.rt_status.cycle > before + 50, "cycles of the first")
        assert segment.epoch() == 1
        assert segment.current()


def test_up_with_a_standby_hands_over_and_stops_all(place: Place) -> None:
    place.environ |= PATIENT
    up = Running(
        [str(BIN / "mxrc"), "up", "--no-table", "--standbys", "1"],
        place.environ,
        place.folder / "up.out",
        cwd=place.folder,
    )
    try:
        segment = wait_for(place.segment, "the segment")
        wait_for(lambda: len(standbys(segment)) == 1, "a standby")
        wait_for(lambda: "/health" in up.output, "the API")
        first = int(segment.rt_status.pid)
        for _ in range(4):
            wait_for(lambda: len(standbys(segment)) == 1, "a standby")
            target = standbys(segment)[0]
            done = run_to_end(place, "mxrc", "failover", "--to", str(target), "--json")
            if "it may still do so" in done.stderr:  # a busy machine
                wait_for(partial(is_primary, segment, target), "the hand-over")
                continue
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout)
            assert answer["pid"] == target
            assert segment.rt_status.pid == target
        assert segment.rt_status.pid == first, "the same two take turns"
        shown = json.loads(run_to_end(place, "mxrc", "failover", "--list", "--json").stdout)
        assert sorted(row["role"] for row in shown) == ["PRIMARY", "STANDBY"]
        refused = run_to_end(place, "mxrc", "failover", "--to", str(first))
        assert refused.returncode != 0
        assert "PRIMARY already" in refused.stderr
        print(f"slots without a PRIMARY at hand-overs: {changes(segment)}")
        up.signal(signal.SIGINT)
        assert up.wait() == 0, up.output
        assert up.output.count("stopped in order") == 0 or "killing" not in up.output
    finally:
        up.end()
    assert place.shm_files() == []


def test_more_standbys_than_places_are_refused(place: Place) -> None:
    done = run_to_end(place, "mxrc", "up", "--no-table", "--standbys", "2")
    assert done.returncode != 0
    assert "max_rt_processes is 2" in done.stderr


def set_stall_timeout(place: Place, milliseconds: int) -> None:
    path = place.config_dir / "failover_policy.json"
    document = json.loads(path.read_text())
    document["rt_process"]["stall_timeout_ms"] = milliseconds
    path.write_text(json.dumps(document))


def test_a_standby_judges_by_a_stall_timeout_that_was_changed(place: Place) -> None:
    set_stall_timeout(place, 60_000)
    with started_rt(place) as first:
        segment = wait_for_state(place, first)
        with started_rt(place, name="second") as second:
            wait_for(lambda: standbys(segment) == [second.pid], "a standby")
            first.signal(signal.SIGSTOP)
            stopped_ns = time.monotonic_ns()
            wait_for(lambda: time.monotonic_ns() - stopped_ns > 1_000_000_000, "a second")
            assert segment.rt_status.pid == first.pid, "the timeout has not passed"
            set_stall_timeout(place, 200)
            second.signal(signal.SIGHUP)
            wait_for(lambda: segment.rt_status.pid == second.pid, "the take-over")
            assert first.wait() == -signal.SIGKILL
