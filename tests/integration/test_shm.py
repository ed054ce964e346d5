"""`mxrc shm` from end to end: on real processes, on what they leave behind, on damaged copies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.core import ffi, lib
from shared.inspector.checks.state import check_state
from shared.segment import Region, Segment
from tests.helpers import SHM_DIR, unique_instance
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

SLOT = 256
STATE_BLOCK = int(ffi.sizeof("struct mxrc_state_block"))


@contextmanager
def started_nonrt(place: Place) -> Iterator[Running]:
    running = Running([str(BIN / "mxrc-nonrt")], place.environ, place.folder / "nonrt.out")
    try:
        yield running
    finally:
        running.end()


def shm(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = run_to_end(place, "mxrc", "shm", *arguments)
    assert "Traceback" not in found.stderr, found.stderr
    return found


def shm_json(place: Place, *arguments: str) -> Any:
    found = shm(place, *arguments, "--json")
    return json.loads(found.stdout)


def listed(place: Place) -> Any:
    return next(row for row in shm_json(place, "list") if row["instance"] == place.instance)


@contextmanager
def both_running(place: Place) -> Iterator[tuple[Running, Running, Segment]]:
    """RT and Non-RT with a task under way."""
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        with started_nonrt(place) as nonrt:
            wait_for(
                lambda: (
                    run_to_end(
                        place, "mxrc", "task", "start", "pick_and_place", "--mode", "once"
                    ).returncode
                    == 0
                ),
                "the task to be accepted",
            )
            wait_for(lambda: segment.rt_status.active_tasks == 1, "the task to run")
            yield rt, nonrt, segment


def test_every_verb_on_a_running_instance(place: Place) -> None:
    place.environ |= PATIENT
    with both_running(place) as (rt, nonrt, segment):
        row = listed(place)
        assert (row["state"], row["primary_pid"], row["nonrt_pid"]) == ("alive", rt.pid, nonrt.pid)
        assert (row["rt_state"], row["generation"]) == ("RUNNING", segment.generation)
        roles = {one["role"]: one for one in shm_json(place, "info")["processes"]}
        assert roles["PRIMARY"]["pid"] == rt.pid
        assert roles["NON_RT"]["condition"] == "alive"
        assert shm_json(place, "stats")["generation_cycles"] > 0
        assert shm(place, "get", "rt_status.pid").stdout.strip() == str(rt.pid)
        # A process that does not get its CPU for a second is silent, and said to be.
        wait_for(lambda: shm_json(place, "check", "--alive")["verdict"] == "good", "a good verdict")
        for kind in ("csv", "mcap", "parquet", "perfetto"):
            done = shm_json(place, "export", kind, "-o", str(place.folder / f"x.{kind}"))
            assert done["cycles"] > 0
            assert done["lost"] == 0
        drawn = shm_json(place, "plot", "-o", str(place.folder / "x.png"))
        assert drawn["cycles"] > 0
        looks = shm(place, "top", "-n", "2", "--interval", "0.3", "--json").stdout.splitlines()
        flows = json.loads(looks[1])["flows"]
        ring = next(one for one in flows["rings"] if one["name"] == "cycle_ring")
        assert ring["rate_hz"] > 0
        assert {"logs", "tasks"} <= {one["name"] for one in flows["consumers"]}
        assert shm(place, "clean", "--yes").returncode == 1
        assert segment.current()


def test_check_does_not_take_a_writer_at_work_for_damage(place: Place) -> None:
    with both_running(place):
        for _ in range(5):
            report = shm_json(place, "check")
            assert report["verdict"] == "good", report["findings"]


def test_post_mortem_says_who_died_when_and_in_what(place: Place) -> None:
    place.environ |= PATIENT
    with both_running(place) as (rt, nonrt, segment):
        wait_for(lambda: segment.rt_status.cycle > 300, "cycles")
        before = time.time_ns()
        kill(rt)
        kill(nonrt)
        after = time.time_ns()
    try:
        row = listed(place)
        assert (row["state"], row["primary_pid"], row["nonrt_pid"]) == ("dead", None, None)
        assert f"PRIMARY pid {rt.pid} died" in row["note"]
        found = shm_json(place, "info")["post_mortem"]
        assert [one["pid"] for one in found["deaths"]] == [rt.pid, nonrt.pid]
        newest = int(segment.rt_status.cycle)
        assert newest <= found["last_cycle"]["cycle"] <= newest + 1
        assert found["state"] == found["last_cycle"]["state"] == "RUNNING"
        (task,) = found["tasks"]
        assert task["task_id"] == "pick_and_place"
        assert task["action"]
        assert "mutex" in found["deaths"][0]["how"]
        last_sign = np_time(found["deaths"][0]["last_sign"])
        assert before - 5_000_000_000 < last_sign < after
        text = shm(place, "info").stdout
        assert f"pid {rt.pid}, died at" in text
        assert "under way: pick_and_place step" in text
        tail = shm(place, "tail", "cycles", "-n", "1")
        assert f"cycle {found['last_cycle']['cycle']}" in tail.stdout
        assert f"pid {rt.pid}, is dead" in tail.stderr
        assert shm(place, "check").returncode == 0
        demanded = shm_json(place, "check", "--alive")
        bad = [one["place"] for one in demanded["findings"] if one["verdict"] == "bad"]
        assert [str(rt.pid) in bad[0], str(nonrt.pid) in bad[1], len(bad)] == [True, True, 2]
    finally:
        clean_after(place)


def np_time(text: str) -> int:
    import numpy as np

    return int(np.datetime64(text.removesuffix("Z"), "ns").astype(np.int64))


def clean_after(place: Place) -> None:
    """The dead generation goes once nobody beat for a while; not before."""
    early = shm(place, "clean", "--yes")
    if early.returncode:
        assert "beat within the last" in early.stdout

    def gone() -> bool:
        shm(place, "clean", "--yes")
        return not place.shm_files()

    wait_for(gone, "clean to remove the dead generation")


def test_a_former_primary_stays_known_after_its_restart(place: Place) -> None:
    with started_rt(place) as first:
        segment = wait_for_state(place, first)
        wait_for(lambda: segment.rt_status.cycle > 200, "cycles")
        kill(first)
    last = int(segment.rt_status.cycle)
    with started_rt(place, name="second") as second:
        wait_for_state(place, second)
        found = shm_json(place, "info")
        assert {one["role"]: one["pid"] for one in found["processes"]} == {
            "PRIMARY": second.pid,
            "FORMER PRIMARY": first.pid,
        }
        assert last <= found["post_mortem"]["last_cycle"]["cycle"] <= last + 1
        assert "another process took over" in found["post_mortem"]["headline"]
        second.signal(signal.SIGTERM)
        assert second.wait() == 0


def test_a_stopped_process_is_silent_and_check_is_bad(place: Place) -> None:
    with started_rt(place) as rt:
        wait_for_state(place, rt)
        rt.signal(signal.SIGSTOP)
        try:
            time.sleep(0.8)
            report = shm_json(place, "check")
            bad = [one for one in report["findings"] if one["verdict"] == "bad"]
            assert [one["check"] for one in bad] == ["heartbeat"]
            assert "stopped by a signal" in bad[0]["detail"]
            assert "silent" in listed(place)["note"]
        finally:
            rt.signal(signal.SIGCONT)


def test_readers_that_are_stopped_or_killed_disturb_nobody(place: Place) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        follow = ("tail", "cycles", "--follow", "--json")
        readers = [
            Running([str(BIN / "mxrc"), "shm", *verb], place.environ, place.folder / f"r{at}.out")
            for at, verb in enumerate((follow, follow, ("top", "--interval", "0.1")))
        ]
        try:
            for reader in readers:
                wait_for(lambda one=reader: one.output or None, "output of a reader")  # type: ignore[misc]
            writable = [
                line
                for line in Path(f"/proc/{readers[0].pid}/maps").read_text().splitlines()
                if place.instance in line and "w" in line.split()[1]
            ]
            assert writable == [], "a reader maps the segment writable"
            readers[0].signal(signal.SIGSTOP)
            readers[1].signal(signal.SIGKILL)
            before = int(segment.rt_status.cycle)
            wait_for(lambda: segment.rt_status.cycle > before + 300, "cycles")
            assert rt.process.poll() is None
            assert segment.rt_status.state == 2
            readers[0].signal(signal.SIGCONT)
            rows = [json.loads(line) for line in readers[0].output.splitlines()[:-1]]
            assert [row["number"] for row in rows] == sorted({row["number"] for row in rows})
        finally:
            for reader in readers:
                reader.signal(signal.SIGCONT)
                kill(reader)


def test_follow_goes_on_in_the_next_generation(place: Place) -> None:
    with started_rt(place) as first:
        wait_for_state(place, first)
        tail = Running(
            [str(BIN / "mxrc"), "shm", "tail", "cycles", "-f", "--json"],
            place.environ,
            place.folder / "tail.out",
        )
        try:
            wait_for(lambda: tail.output or None, "cycles of the first generation")
            first.signal(signal.SIGTERM)
            assert first.wait() == 0
            wait_for(lambda: "waiting for the next generation" in tail.output, "the remark")
            with started_rt(place, name="second") as second:
                wait_for_state(place, second)
                wait_for(lambda: "has begun" in tail.output, "the next generation")
                size = len(tail.output)
                wait_for(lambda: len(tail.output) > size + 1000, "its cycles")
        finally:
            kill(tail)


def test_none_is_status_2_and_a_pipe_that_closes_is_no_error(place: Place) -> None:
    assert shm(place, "check").returncode == 2
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        # Skipped slots have no record: so many that the first is not among the last 200.
        wait_for(lambda: segment.rt_status.cycles_run > 300, "cycles")
        command = f"{BIN}/mxrc-shm tail cycles -n 200 --json | head -n 1"
        found = subprocess.run(
            ["bash", "-c", command], env=place.environ, capture_output=True, text=True, timeout=60
        )
        assert json.loads(found.stdout)["cycle"] > 0
        assert "Traceback" not in found.stderr


# ---- Damaged copies of a dead segment ------------------------------------------------------------


@dataclass(frozen=True)
class Dead:
    """A segment of a killed process, as bytes, and where things are in it."""

    raw: bytes
    regions: dict[str, Region]
    environ: dict[str, str]
    heads: dict[str, int]


def stop_between_blocks(rt: Running, segment: Segment) -> None:
    """One cycle in a thousand is stopped inside the copy of a state block: no CRC then."""

    def stopped() -> bool:
        rt.signal(signal.SIGSTOP)
        time.sleep(0.05)
        if all("died in it" not in found.detail for found in check_state(segment, False)):
            return True
        rt.signal(signal.SIGCONT)
        return False

    wait_for(stopped, "a stop between two blocks")


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dead]:
    place = Place(unique_instance(), tmp_path_factory.mktemp("dead"))
    path = SHM_DIR / f"mxrc-{place.instance}"
    try:
        with both_running(place) as (rt, nonrt, segment):
            wait_for(lambda: segment.rt_status.cycle > 1500, "cycles")
            stop_between_blocks(rt, segment)
            kill(rt)
            kill(nonrt)
        regions = {region.name: region for region in segment.regions()}
        heads = {
            name: int.from_bytes(bytes(segment.view(region.id)[:8]), "little")
            for name, region in regions.items()
            if "lane" in name or name in ("cycle_ring", "commands")
        }
        yield Dead(path.read_bytes(), regions, place.environ, heads)
    finally:
        path.unlink(missing_ok=True)


def check_copy(dead: Dead, damage: Callable[[bytearray, Dead], None]) -> tuple[int, list[Any]]:
    """`check` on a damaged copy: its status and the bad findings."""
    instance = unique_instance()
    path = SHM_DIR / f"mxrc-{instance}"
    copy = bytearray(dead.raw)
    damage(copy, dead)
    path.write_bytes(copy)
    path.chmod(0o660)
    try:
        found = subprocess.run(
            [str(BIN / "mxrc-shm"), "check", "--json", "--instance", instance],
            env=dead.environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        path.unlink()
    assert "Traceback" not in found.stderr, found.stderr
    findings = json.loads(found.stdout)["findings"]
    return found.returncode, [one for one in findings if one["verdict"] == "bad"]


def flip(copy: bytearray, at: int) -> None:
    copy[at] ^= 0x55


def region_flip(name: str, offset: int) -> Callable[[bytearray, Dead], None]:
    return lambda copy, dead: flip(copy, dead.regions[name].offset + offset)


def cycle_field(field: str, number_back: int = 100) -> Callable[[bytearray, Dead], None]:
    """Damages a field of a record in the middle of the cycle ring."""

    def damage(copy: bytearray, dead: Dead) -> None:
        region = dead.regions["cycle_ring"]
        slot = (dead.heads["cycle_ring"] - number_back) % region.element_count
        offset = int(ffi.offsetof("struct mxrc_cycle_record", field))
        flip(copy, region.offset + SLOT * (slot + 1) + offset)

    return damage


def event_field(field: str) -> Callable[[bytearray, Dead], None]:
    def damage(copy: bytearray, dead: Dead) -> None:
        offset = int(ffi.offsetof("struct mxrc_event", field))
        flip(copy, dead.regions["lane_0_rt"].offset + SLOT * 2 + offset)

    return damage


def both_blocks(copy: bytearray, dead: Dead) -> None:
    for block in (0, 1):
        flip(copy, dead.regions["state"].offset + block * STATE_BLOCK + 700)


def crc_again(copy: bytearray) -> None:
    """Gives the header the CRC that belongs to it: damage that the CRC does not see."""
    header = ffi.cast("struct mxrc_header *", ffi.from_buffer(copy))
    state, header.state, header.crc = header.state, 0, 0
    crc = lib.mxrc_crc32c(0, header, ffi.sizeof("struct mxrc_header"))
    table = ffi.cast("uint8_t *", header) + 4096
    rows = 64 * ffi.sizeof("struct mxrc_region_desc")
    header.crc, header.state = lib.mxrc_crc32c(crc, table, rows), state


def region_beyond(copy: bytearray, _dead: Dead) -> None:
    row = ffi.cast("struct mxrc_region_desc *", ffi.from_buffer(copy)[4096:8192])
    row[3].offset = len(copy)
    crc_again(copy)


def truncated(copy: bytearray, _dead: Dead) -> None:
    del copy[len(copy) // 2 :]


def stub_of_a_file(copy: bytearray, _dead: Dead) -> None:
    del copy[100:]


def cursor_beyond(copy: bytearray, dead: Dead) -> None:
    at = dead.regions["cursors"].offset + int(ffi.offsetof("struct mxrc_cursor", "lane"))
    copy[at : at + 8] = (1 << 40).to_bytes(8, "little")


def clear_mutex_while_alive(copy: bytearray, dead: Dead) -> None:
    """Looks as if this very process, which holds no mutex, were PRIMARY."""
    start = int(lib.mxrc_process_start(os.getpid()))
    base = dead.regions["member_0"].offset
    copy[base : base + 4] = os.getpid().to_bytes(4, "little")
    copy[base + 8 : base + 16] = start.to_bytes(8, "little")


def test_an_undamaged_copy_is_good(dead: Dead) -> None:
    assert check_copy(dead, lambda copy, dead: None) == (0, [])


@pytest.mark.parametrize(
    ("damage", "place", "check"),
    [
        (lambda copy, dead: flip(copy, 0), "object", "magic"),
        (lambda copy, dead: flip(copy, 40), "header", "CRC"),
        (lambda copy, dead: flip(copy, 4096 + 8), "header", "CRC"),
        (truncated, "header", "size"),
        (stub_of_a_file, "object", "magic"),
        (region_beyond, "region table", "places"),
        (cycle_field("seq"), "cycle_ring slot ", "sequence word"),
        (cycle_field("scheduled_ns"), "cycle_ring slot ", "record"),
        (cycle_field("state"), "cycle_ring slot ", "record"),
        (cycle_field("epoch"), "cycle_ring slot ", "record"),
        (cycle_field("axes"), "cycle_ring slot ", "record"),
        (region_flip("cycle_ring", 64), "cycle_ring header", "capacity"),
        (region_flip("cycle_ring", 1), "cycle_ring slot ", "sequence word"),
        (event_field("seq"), "lane_0_rt slot 1", "sequence word"),
        (event_field("kind"), "lane_0_rt slot 1", "record"),
        (event_field("message_id"), "lane_0_rt slot 1", "record"),
        (region_flip("commands", SLOT), "commands slot 0", "sequence word"),
        (region_flip("state", 700), "state block A", "CRC"),
        (region_flip("state", STATE_BLOCK + 600), "state block B", "CRC"),
        (both_blocks, "state block A", "CRC"),
        (region_flip("programs", 300), "programs slot 0", "CRC"),
        (region_flip("names_rt", 64), "names_rt entry 0", "name"),
        (region_flip("data_directory", 64 + 64), "data_directory key 0", "type"),
        (region_flip("nonrt_document", 24), "nonrt_document", "JSON"),
        (region_flip("lease", 64), "lease.owner", "owner"),
        (region_flip("lease", 73), "lease.admitted_epoch", "epoch"),
        (cursor_beyond, "cursors.cursor[0] (", "cursor"),
        (clear_mutex_while_alive, "lease.mutex", "lock"),
    ],
)
def test_damage_is_found_and_its_place_named(
    dead: Dead, damage: Callable[[bytearray, Dead], None], place: str, check: str
) -> None:
    status, bad = check_copy(dead, damage)
    assert status == 1
    assert [one for one in bad if one["place"].startswith(place) and one["check"] == check], bad


@pytest.mark.parametrize("verb", ["info", "list", "tail", "stats", "get", "top", "export", "plot"])
def test_no_verb_falls_over_a_damaged_segment(dead: Dead, verb: str, tmp_path: Path) -> None:
    """Every 509th byte is another: whatever a verb finds there, it is no traceback and no crash."""
    instance = unique_instance()
    path = SHM_DIR / f"mxrc-{instance}"
    copy = bytearray(dead.raw)
    for at in range(8192, len(copy), 509):
        flip(copy, at)
    path.write_bytes(copy)
    extra = {
        "export": ["mcap", "-o", str(tmp_path / "x.mcap")],
        "plot": ["-o", str(tmp_path / "x.png")],
        "top": ["-n", "2", "--interval", "0.05"],
        "get": ["*"],
        "tail": ["cycles", "-n", "10000"],
    }
    chosen = [] if verb == "list" else ["--instance", instance]
    try:
        found = subprocess.run(
            [str(BIN / "mxrc-shm"), verb, *extra.get(verb, []), *chosen],
            env=dead.environ,
            capture_output=True,
            text=True,
            timeout=100,
        )
    finally:
        path.unlink()
    assert "Traceback" not in found.stderr, found.stderr
    assert found.returncode in (0, 1, 2, 69), found.stderr
