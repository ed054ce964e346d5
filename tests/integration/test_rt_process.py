"""The real `mxrc-rt`, alone in its instance."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest

from shared.core import layout_hash, now_ns
from shared.documents import read_admin_answer, read_primary_document, write_admin_request
from shared.enums import Access, EventKind, RegionId, Role, RtState
from shared.events import format_event, message_id
from shared.layout import Records
from shared.ring import RingReader
from shared.segment import Segment
from shared.state_block import read_state
from tests.helpers import require_tool
from tests.processes import (
    PATIENT,
    Place,
    kill,
    run_to_end,
    started_rt,
    wait_for,
    wait_for_state,
)
from tests.unit.shared.test_segment import as_if_built_from, shm_file


def edit(place: Place, name: str, **fields: Any) -> None:
    path = place.config_dir / f"{name}.json"
    document = json.loads(path.read_text())
    document.update(fields)
    path.write_text(json.dumps(document))


def edit_affinity(place: Place, **fields: Any) -> None:
    document = json.loads((place.config_dir / "cpu_affinity.json").read_text())
    edit(place, "cpu_affinity", rt_process=document["rt_process"] | fields)


def main_log(segment: Segment, member: int, name: str) -> Records:
    records = RingReader(segment, RegionId.LANE + 2 * member + 1).read().records
    found: Records = records[records["message_id"] == message_id(name)]
    return found


def test_reaches_running_and_stops_in_order(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        assert segment.rt_status.restart_count == 0
        member = segment.member_struct(segment.primary() or 0)
        assert (member.pid, member.role) == (rt.pid, Role.PRIMARY)
        before = segment.rt_status.cycle
        wait_for(lambda: segment.rt_status.cycle > before + 100, "cycles")
        age_ns = now_ns() - member.main_heartbeat_ns
        assert age_ns < 5_000_000_000
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0
        assert "ready: instance" in rt.output
        assert rt.output.endswith("stopped\n")
        assert place.shm_files() == []
        assert segment.rt_status.state == RtState.SHUTDOWN


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_is_not_lost(place: Place, number: int) -> None:
    with started_rt(place) as rt:
        wait_for(lambda: place.shm_files() or None, "the segment")
        rt.signal(number)
        assert rt.wait() == 0, rt.output
        assert place.shm_files() == []


def test_placement_and_degraded_reasons_are_published(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        document = wait_for(lambda: read_primary_document(segment) or None, "the document")
        assert document["pid"] == rt.pid
        in_force = document["placement"]["in_force"]
        tid = segment.member_struct(segment.primary() or 0).tid
        assert tid not in (0, rt.pid)
        assert os.sched_getaffinity(tid) == set(in_force["cpu_cores"])
        assert os.sched_getscheduler(tid) & 0xFF == getattr(os, in_force["policy"])
        assert os.sched_getparam(tid).sched_priority == in_force["priority"]
        assert os.sched_getscheduler(rt.pid) == os.SCHED_OTHER
        assert Path(f"/proc/{rt.pid}/task/{tid}/comm").read_text().strip() == "rt-main"
        assert len(document["degraded"]) == len(document["placement_fix"])
        for reason in document["degraded"]:
            assert reason in rt.output


def test_without_the_rights_it_runs_on_and_says_how_to_get_them(place: Place) -> None:
    taken = "-sys_nice,-ipc_lock,-sys_resource"
    drop = ["setpriv", f"--bounding-set={taken}", f"--inh-caps={taken}"] if os.getuid() == 0 else []
    prefix = [*drop, require_tool("prlimit", "util-linux"), "--rtprio=0", "--memlock=65536"]
    with started_rt(place, prefix=prefix) as rt:
        segment = wait_for_state(place, rt)
        document = wait_for(lambda: read_primary_document(segment) or None, "the document")
        assert document["placement"]["configured"]["policy"] == "SCHED_FIFO"
        assert document["placement"]["in_force"]["policy"] == "SCHED_OTHER"
        assert [reason.split(" (")[0] for reason in document["degraded"]] == [
            "no right to SCHED_FIFO priority 80",
            "memory is not locked as a whole",
        ]
        assert "CAP_SYS_NICE" in document["placement_fix"][0]
        assert "LimitMEMLOCK" in document["placement_fix"][1]
        assert os.sched_getscheduler(segment.rt_status.tid) == os.SCHED_OTHER
        before = segment.rt_status.cycles_run
        wait_for(lambda: segment.rt_status.cycles_run > before + 100, "cycles")
        assert rt.output.count("DEGRADED") == 2
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0


def test_cycles_are_on_the_grid_and_in_the_ring(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        ring = RingReader(segment, RegionId.CYCLE_RING)
        wait_for(lambda: ring.head > 500, "500 cycles")
        records = ring.latest(400).records
        origin = segment.lease.grid_origin_ns
        assert (records["scheduled_ns"] == origin + records["cycle"] * 1_000_000).all()
        assert (records["wake_ns"] >= records["scheduled_ns"]).all()
        assert (records["end_ns"] >= records["wake_ns"]).all()
        steps = records["cycle"][1:] - records["cycle"][:-1]
        assert (steps == 1 + records["skipped"][1:]).all()


def test_killed_and_started_again_it_goes_on_from_the_state_block(place: Place) -> None:
    with started_rt(place) as first:
        segment = wait_for_state(place, first)
        wait_for(lambda: segment.rt_status.cycle > 300, "cycles")
        kill(first)
    last_cycle, generation = segment.rt_status.cycle, segment.generation
    assert place.shm_files() != [], "a crash leaves the segment"
    state = read_state(segment)
    assert state is not None
    with started_rt(place, name="second") as second:
        again = wait_for_state(place, second)
        assert again.generation == generation
        assert again.epoch() == 2
        assert again.rt_status.restart_count == 1
        assert again.rt_status.last_recovery == 1
        # The state is in force before the first cycle is.
        wait_for(lambda: again.rt_status.cycle > last_cycle, "the next cycle")
        assert again.lease.grid_origin_ns == segment.lease.grid_origin_ns
        lane = RingReader(again, RegionId.LANE + 2 * (again.primary() or 0))
        records = lane.read().records
        recovered = records[records["message_id"] == message_id("RECOVERED_STATE")]
        assert len(recovered) == 1
        assert int(recovered["args"][0][0]) >= state["cycle"]
        text = format_event(recovered["message_id"][0], recovered["args"][0])
        assert text.startswith("Recovered from state block: cycle ")
        second.signal(signal.SIGTERM)
        assert second.wait() == 0, second.output
    assert place.shm_files() == []


def test_hangup_changes_what_is_live_and_refuses_the_rest(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        member = segment.primary() or 0
        tid = segment.member_struct(member).tid
        edit_affinity(place, cpu_cores=[0])
        rt.signal(signal.SIGHUP)
        wait_for(lambda: os.sched_getaffinity(tid) == {0}, "the RT thread on CPU 0")
        wait_for(lambda: len(main_log(segment, member, "CONFIG_CHANGED")) == 1, "the log line")
        document = wait_for(
            lambda: (
                found
                if (found := read_primary_document(segment))["placement"]["in_force"]["cpu_cores"]
                == [0]
                else None
            ),
            "the document",
        )
        assert document["placement"]["configured"]["cpu_cores"] == [0]
        edit(place, "rt_schedule", period_us=2000)
        edit_affinity(place, cpu_cores=[1])
        rt.signal(signal.SIGHUP)
        wait_for(lambda: len(main_log(segment, member, "CONFIG_REFUSED")) == 1, "the refusal")
        assert os.sched_getaffinity(tid) == {0}
        assert "$.period_us" in rt.output
        assert segment.rt_status.state == RtState.RUNNING
        (place.config_dir / "rt_schedule.json").write_text("{")
        rt.signal(signal.SIGHUP)
        wait_for(lambda: len(main_log(segment, member, "CONFIG_REFUSED")) == 2, "the refusal")
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0
        assert "Traceback" not in rt.output


def test_admin_requests_are_answered_by_the_main_thread(place: Place) -> None:
    with started_rt(place) as rt:
        wait_for_state(place, rt)
        with Segment.attach(place.instance, Access.NONRT) as segment:
            member = segment.primary() or 0
            number = write_admin_request(segment, {"operation": "reload"})
            wait_for(lambda: segment.member_struct(member).admin_reply == number, "the answer")
            admin = read_admin_answer(segment, member, number)
        assert admin == {"number": number, "ok": True, "message": "configuration unchanged"}


def test_a_second_one_stands_by_and_a_third_is_refused(place: Place) -> None:
    place.environ |= PATIENT
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        with started_rt(place, name="second") as second:
            wait_for(lambda: "ready: STANDBY" in second.output, "the standby")
            text = refused(place, 75)
            assert "all 2 places for RT processes" in text
            assert len(text.splitlines()) == 1
            before = segment.rt_status.cycle
            wait_for(lambda: segment.rt_status.cycle > before + 50, "cycles")
            assert (segment.epoch(), segment.primary()) == (1, segment.rt_status.member)
            rt.signal(signal.SIGTERM)
            assert rt.wait() == 0, rt.output
            assert second.wait() == 0, "a STOP ends all"
    assert place.shm_files() == []


def refused(place: Place, status: int, *arguments: str) -> str:
    """Starts and is refused: the status, one line per problem, no traceback. Returns the lines."""
    done = run_to_end(place, "mxrc-rt", *arguments)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines
    assert all(line.startswith("mxrc-rt: ") for line in lines)
    return done.stderr


def test_bad_configuration_is_78_and_a_line(place: Place) -> None:
    edit(place, "rt_schedule", period_us=-5)
    text = refused(place, 78)
    assert len(text.splitlines()) == 1
    assert "rt_schedule.json: $.period_us: found -5" in text
    assert place.shm_files() == []


def test_a_file_given_by_option_replaces_the_one_of_the_folder(
    place: Place, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"rt_process": {"isolation_mode": "NONE", "cpu_cores": [4000]}}')
    other.chmod(0o644)
    text = refused(place, 78, "--config", str(other))
    assert str(other) in text
    assert "4000" in text


def test_a_missing_folder_is_said(place: Place, tmp_path: Path) -> None:
    text = refused(place, 78, "--config-dir", str(tmp_path / "nowhere"))
    assert "nowhere" in text


def test_a_world_writable_file_is_refused(place: Place) -> None:
    path = place.config_dir / "robot.json"
    path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWOTH)
    assert "robot.json" in refused(place, 78)


def test_exclusive_on_an_unprepared_machine_is_refused_with_the_fix(place: Place) -> None:
    edit_affinity(place, isolation_mode="CGROUPS", is_exclusive=True)
    text = refused(place, 78)
    assert "is_exclusive is true" in text
    assert "mxrc cpuset create" in text
    assert place.shm_files() == []


def test_a_run_folder_that_cannot_be_made_is_said(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place.environ["MXRC_INSTANCE__RUN_DIR"] = str(tmp_path / "file" / "run")
    text = refused(place, 78)
    assert "the folder of the lock file" in text
    assert len(text.splitlines()) == 1


def test_a_foreign_object_is_refused_and_left_alone(place: Place) -> None:
    path = shm_file(place.instance)
    path.write_bytes(b"not ours".ljust(8192, b"\0"))
    try:
        text = refused(place, 78)
        assert len(text.splitlines()) == 1
        assert place.instance in text
        assert path.read_bytes().startswith(b"not ours")
    finally:
        path.unlink()


def leave_a_dead_segment(place: Place) -> Segment:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        kill(rt)
    return segment


def test_a_truncated_segment_is_replaced_once_nobody_lives_in_it(place: Place) -> None:
    dead = leave_a_dead_segment(place)
    size, generation = dead.bytes, dead.generation
    dead.detach()
    with shm_file(place.instance).open("r+b") as file:
        file.truncate(size // 2)
    with started_rt(place, name="new") as rt:
        segment = wait_for_state(place, rt)
        assert segment.generation != generation
        assert f"has {size // 2} bytes, its header says {size}" in rt.output
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0


def test_a_dead_segment_of_another_build_is_replaced(place: Place) -> None:
    dead = leave_a_dead_segment(place)
    with as_if_built_from(place.instance, layout_hash() ^ 1), started_rt(place, name="new") as rt:
        segment = wait_for_state(place, rt)
        assert segment.generation != dead.generation
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0


def test_a_dead_segment_of_another_shape_is_replaced(place: Place) -> None:
    dead = leave_a_dead_segment(place)
    edit(place, "instance", command_slots=512)
    with started_rt(place, name="new") as rt:
        segment = wait_for_state(place, rt)
        assert segment.generation != dead.generation
        assert segment.rt_status.last_recovery == 0
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0


def test_a_live_segment_of_another_shape_is_not_touched(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        edit(place, "instance", command_slots=512)
        text = refused(place, 75)
        assert len(text.splitlines()) == 1
        assert segment.current()
        assert segment.rt_status.state == RtState.RUNNING


def test_the_watchdog_of_the_service_manager_is_fed(place: Place, tmp_path: Path) -> None:
    import socket

    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(30)
        place.environ |= {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"}
        with started_rt(place) as rt:
            messages: list[str] = []
            while messages.count("WATCHDOG=1") < 2:
                messages.append(manager.recv(4096).decode())
            assert messages.index("READY=1") < messages.index("WATCHDOG=1") + 2
            rt.signal(signal.SIGTERM)
            while messages[-1] != "STOPPING=1":
                messages.append(manager.recv(4096).decode())
            assert rt.wait() == 0


def test_the_state_machine_is_logged_by_itself(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        lane = RingReader(segment, RegionId.LANE + 2 * (segment.primary() or 0))
        records = lane.read().records
        texts = [
            format_event(record["message_id"], record["args"])
            for record in records
            if record["kind"] in (EventKind.STATE, EventKind.LOG) and record["message_id"]
        ]
        assert "Clean start: no state to recover" in texts
        assert any(text.startswith("RT state READY -> RUNNING on START") for text in texts)
