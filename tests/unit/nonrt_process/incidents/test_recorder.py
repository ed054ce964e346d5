"""What is frozen, what is folded, and what is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nonrt_process.incidents import causes
from nonrt_process.incidents import recorder as module
from nonrt_process.incidents.recorder import AFTER, BEFORE, MOST_CYCLES, Recorder
from shared import incident_file
from shared.enums import CycleFlag, EventKind, RtState
from shared.inspector.export.run import export
from shared.layout import Records
from shared.segment import Segment
from tests.unit.nonrt_process.fakes import batch, cycles, events, real_segment

MISS = int(CycleFlag.DEADLINE_MISS)
PERIOD = 1_000_000
TRACE = list(range(1, 17))


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    with real_segment(tmp_path) as (rt, nonrt):
        rt.rt_status.deadline_ns = 900_000
        yield nonrt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "incidents"


def made(segment: Segment, folder: Path, **limits: Any) -> Recorder:
    recorder = Recorder(folder, "robot", logging.getLogger("nonrt"), lambda: False, **limits)
    recorder.on_attach(segment)
    return recorder


def feed(recorder: Recorder, whole: Any, size: int) -> None:
    """In batches of so many records."""
    for at in range(0, len(whole), size):
        recorder.on_batch(batch(cycle_records=whole[at : at + size]))


def run(first: int, count: int, *late: int, **fields: Any) -> Records:
    """Cycles first .. first + count - 1; those in `late` missed their deadline, in the law."""
    rows = []
    for number in range(first, first + count):
        start = number * PERIOD
        times = {"scheduled_ns": start, "wake_ns": start + 5_000, "commit_ns": start + 20_000}
        row = {"cycle": number, **times, "end_ns": start + 25_000, **fields}
        if number in late:
            row |= {"flags": MISS, "commit_ns": start + 950_000, "end_ns": start + 955_000}
        rows.append(row)
    return cycles(rows, first)


def incidents(folder: Path) -> list[dict[str, Any]]:
    return [incident_file.read(path).head for path in incident_file.files(folder, "robot")]


def test_cycles_before_and_after_a_late_one(
    segment: Segment, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = made(segment, folder)
    recorder.on_batch(batch(cycle_records=run(0, 500)))
    recorder.on_batch(batch(cycle_records=run(500, 50, 530, trace_id=TRACE)))
    assert not incidents(folder)  # what comes after is not there yet
    recorder.on_batch(batch(cycle_records=run(550, 300)))
    (path,) = incident_file.files(folder, "robot")
    assert path.stat().st_mode & 0o777 == 0o640
    incident = incident_file.read(path)
    found = incident.document["cycles"]["cycle"]
    assert found == list(range(530 - BEFORE, 530 + AFTER + 1))
    assert [late["cycle"] for late in incident.head["late"]] == [530]
    assert incident.head["late"][0]["causes"] == ["worked long"]
    assert incident.head["trace_ids"] == [bytes(TRACE).hex()]
    line = next(record for record in caplog.records if incident.head["id"] in record.message)
    assert line.__dict__["trace.id"] == bytes(TRACE).hex()
    done = export(incident.recording(), "csv", "cycles", tmp_path / "out.csv")
    assert done.cycles == len(found)


def test_the_batches_do_not_matter(segment: Segment, folder: Path) -> None:
    recorder = made(segment, folder)
    feed(recorder, run(0, 900, 300, 310), 7)
    (head,) = incidents(folder)
    assert head["late_count"] == 2
    (path,) = incident_file.files(folder, "robot")
    found = incident_file.read(path).document["cycles"]["cycle"]
    assert found == list(range(100, 310 + AFTER + 1))


def test_a_storm_is_one_incident(segment: Segment, folder: Path) -> None:
    recorder = made(segment, folder)
    late = range(100, 4000)
    recorder.on_batch(batch(cycle_records=run(0, 4100, *late)))
    (head,) = incidents(folder)
    assert head["late_count"] == MOST_CYCLES
    assert len(head["late"]) == module.MOST_LISTED
    assert recorder.folded == len(late) - MOST_CYCLES
    quiet = module.QUIET_NS // PERIOD
    recorder.on_batch(batch(cycle_records=run(4100, quiet + 500, 4000 + quiet + 10)))
    assert len(incidents(folder)) == 2


@pytest.mark.parametrize("event_first", [True, False])
def test_safe_mode_without_a_late_cycle(segment: Segment, folder: Path, event_first: bool) -> None:
    recorder = made(segment, folder)
    to = [float(RtState.RUNNING), float(RtState.SAFE_MODE), 5.0, 2.0, 0.0, 0.0]
    change = {"kind": int(EventKind.STATE), "cycle": 250, "time_ns": 250 * PERIOD, "args": to}
    if event_first:
        recorder.on_batch(batch(events([change]), run(0, 400)))
    else:
        recorder.on_batch(batch(cycle_records=run(0, 260)))
        recorder.on_batch(batch(events([change]), run(260, 140)))
    (head,) = incidents(folder)
    assert (head["why"], head["cycle"], head["late"]) == ("SAFE_MODE (LAW_FAULT)", 250, [])


def entered(state: RtState, cycle: int) -> Records:
    to = [float(RtState.RUNNING), float(state), 5.0, 2.0, 0.0, 0.0]
    return events(
        [{"kind": int(EventKind.STATE), "cycle": cycle, "time_ns": cycle * PERIOD, "args": to}]
    )


@pytest.mark.parametrize("event_first", [True, False])
def test_a_state_that_is_entered_in_a_storm_has_its_file(
    segment: Segment, folder: Path, event_first: bool
) -> None:
    recorder = made(segment, folder)
    late = (300, *range(600, 1100, 3))
    recorder.on_batch(batch(cycle_records=run(0, 600, *late)))
    if event_first:
        recorder.on_batch(batch(entered(RtState.ERROR, 900), run(600, 600, *late)))
    else:
        recorder.on_batch(batch(cycle_records=run(600, 301, *late)))
        recorder.on_batch(batch(entered(RtState.ERROR, 900), run(901, 299, *late)))
    first, second = incidents(folder)
    assert (first["why"], first["cycle"], first["folded_before"]) == ("late cycle", 300, 0)
    assert (second["why"], second["cycle"]) == ("ERROR", 900)
    folded = [cycle for cycle in late if 600 <= cycle <= (900 if not event_first else 899)]
    assert recorder.folded == second["folded_before"] == len(folded)


def test_a_storm_that_lasts_has_a_file_now_and_then(
    segment: Segment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STORM_NS", 60 * 10**9)
    recorder = made(segment, folder)
    between = module.QUIET_NS // PERIOD // 2
    for cycle in range(300, 300 + 3 * module.STORM_NS // PERIOD, between):
        recorder.on_batch(batch(cycle_records=run(cycle - 150, 300, cycle)))
    first, *others = incidents(folder)
    assert first["folded_before"] == 0
    assert [one["folded_before"] for one in others] == [24, 24]
    assert recorder.folded == 24 * 2 + 21


def test_the_end_of_a_storm_is_said(
    segment: Segment, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = made(segment, folder)
    recorder.on_batch(batch(cycle_records=run(0, 900, 300, 600, 700)))
    recorder.on_tick(700 * PERIOD + module.QUIET_NS - PERIOD)
    assert "storm" not in caplog.text
    recorder.on_tick(700 * PERIOD + module.QUIET_NS + PERIOD)
    recorder.on_tick(700 * PERIOD + module.QUIET_NS + 9 * PERIOD)
    assert caplog.text.count("A storm of late cycles is over: 2 more") == 1


def again(before: Recorder, segment: Segment, folder: Path) -> Recorder:
    """After kill -9: nothing was detached, the words of the cursor are in the segment."""
    recorder = Recorder(folder, "robot", logging.getLogger("nonrt"), lambda: False)
    recorder.cursor_user = list(before.cursor_user)
    recorder.on_attach(segment)
    return recorder


@pytest.mark.parametrize("killed_at", [250, 301, 350, 399, 401, 900])
def test_a_process_that_was_away_makes_the_same_file(
    segment: Segment, folder: Path, killed_at: int
) -> None:
    """What happened before, in the middle of, and after it was killed; the ring has all of it."""
    whole = run(0, 1500, 300)
    first = made(segment, folder)
    feed(first, whole[:killed_at], 50)
    written = len(incidents(folder))
    second = again(first, segment, folder)
    second.on_batch(batch(cycle_records=whole))
    (path,) = incident_file.files(folder, "robot")
    found = incident_file.read(path).document["cycles"]["cycle"]
    assert found == list(range(300 - BEFORE, 300 + AFTER + 1))
    assert second.written == 1 - written


def test_the_storm_goes_on_for_the_next_process(segment: Segment, folder: Path) -> None:
    whole = run(0, 1500, 300, 800)
    first = made(segment, folder)
    first.on_batch(batch(cycle_records=whole[:600]))
    second = again(first, segment, folder)
    second.on_batch(batch(cycle_records=whole))
    assert len(incidents(folder)) == 1
    assert second.folded == 1


def test_a_state_is_no_incident_twice(segment: Segment, folder: Path) -> None:
    first = made(segment, folder)
    first.on_batch(batch(entered(RtState.SAFE_MODE, 250), run(0, 400)))
    second = again(first, segment, folder)
    second.on_batch(batch(entered(RtState.SAFE_MODE, 250), run(0, 600)))
    assert second.written == 0
    second.on_batch(batch(entered(RtState.ERROR, 650), run(600, 300)))
    assert [head["why"] for head in incidents(folder)] == ["SAFE_MODE (LAW_FAULT)", "ERROR"]


def test_what_was_overwritten_is_counted_and_said(
    segment: Segment, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = made(segment, folder)
    first.on_batch(batch(cycle_records=run(0, 400)))
    second = again(first, segment, folder)
    second.on_batch(batch(cycle_records=run(10_000, 300, 10_050), lost_cycles=9_600))
    assert second.lost == 9_600
    assert "9600 cycles were overwritten" in caplog.text
    (path,) = incident_file.files(folder, "robot")
    assert incident_file.read(path).document["cycles"]["cycle"][0] == 10_000


def test_the_warm_up_makes_no_incident(segment: Segment, folder: Path) -> None:
    recorder = made(segment, folder)
    warm = run(0, 100, 5, 6)
    warm["flags"] |= int(CycleFlag.WARMUP)
    recorder.on_batch(batch(cycle_records=warm))
    recorder.on_batch(batch(cycle_records=run(100, 400)))
    recorder.on_detach()
    assert not incidents(folder)


def test_running_again_is_no_incident(segment: Segment, folder: Path) -> None:
    recorder = made(segment, folder)
    to = [float(RtState.READY), float(RtState.RUNNING), 0.0, 0.0, 0.0, 0.0]
    change = {"kind": int(EventKind.STATE), "cycle": 250, "time_ns": 250 * PERIOD, "args": to}
    recorder.on_batch(batch(events([change]), run(0, 1000)))
    recorder.on_detach()
    assert not incidents(folder)


def test_an_executive_that_ends_leaves_what_there_is(segment: Segment, folder: Path) -> None:
    recorder = made(segment, folder)
    recorder.on_batch(batch(cycle_records=run(0, 301, 300)))
    recorder.on_detach()
    assert [head["cycle"] for head in incidents(folder)] == [300]


def test_number_and_size_are_bounded(segment: Segment, folder: Path) -> None:
    recorder = made(segment, folder, most_files=3)
    apart = module.QUIET_NS // PERIOD + 500
    for number in range(6):
        start = number * apart
        recorder.on_batch(batch(cycle_records=run(start, 300, start + 10)))
    assert [head["cycle"] for head in incidents(folder)] == [n * apart + 10 for n in (3, 4, 5)]
    size = incident_file.files(folder, "robot")[-1].stat().st_size
    assert incident_file.prune(folder, "robot", 10, size) == 2
    assert len(incidents(folder)) == 1


def test_a_damaged_file_is_named(folder: Path) -> None:
    folder.mkdir()
    path = folder / "robot-20260101T000000-5.json.gz"
    path.write_bytes(b"no gzip")
    with pytest.raises(incident_file.IncidentUnreadable, match=r"robot-20260101T000000-5"):
        incident_file.read(path)
    assert incident_file.files(folder, "other") == []


@pytest.mark.parametrize("restarted", [False, True])
def test_each_kind_of_a_storm_has_a_file(segment: Segment, folder: Path, restarted: bool) -> None:
    """A machine that wakes late again and again does not hide the entry that works long."""
    whole = run(0, 4000, *range(300, 3900, 150))
    woke = whole["cycle"] < 2000
    whole["wake_ns"][woke & (whole["flags"] == MISS)] += np.uint64(940_000)
    whole["longest_entry"] = np.where(whole["cycle"] < 3000, 3, 4)
    recorder = made(segment, folder)
    for at in range(0, 4000, 50):
        since = at
        if restarted and at % 650 == 0:
            recorder, since = again(recorder, segment, folder), 0
        recorder.on_batch(batch(cycle_records=whole[since : at + 50]))
    found = incidents(folder)
    assert [head["cycle"] for head in found] == [300, 2100, 3000]
    assert [head["late"][0]["causes"] for head in found] == [
        ["woke late"],
        ["worked long"],
        ["worked long"],
    ]


def test_kinds_are_those_that_are_explained(segment: Segment) -> None:
    at = causes.Circumstances(deadline_ns=900_000, period_ns=PERIOD, names={5: "law"})
    random = np.random.default_rng(7)
    for _ in range(1000):
        jitter, work, rest, end = (int(x) for x in random.integers(0, 1_500_000, 4))
        record = {"scheduled_ns": PERIOD, "wake_ns": PERIOD + jitter, "longest_entry": 5}
        record |= {"commit_ns": PERIOD + jitter + work, "end_ns": PERIOD + jitter + work + rest}
        row = cycles([{"cycle": 1, "flags": MISS * int(random.integers(2)), **record}], 0)
        before = cycles([{"cycle": 0, "end_ns": PERIOD // 2 + min(end, PERIOD // 2 + jitter)}], 0)
        said = causes.explain(row[0], before[0], at)["causes"]
        bit = int(causes.kinds(row, before["end_ns"], 900_000, PERIOD)[0])
        if causes.WORKED_LONG in said:
            assert bit == 1 << 5
        else:
            assert bit == int(causes.WOKE_LATE in said)


def caught_up(first: int, count: int, *long: int) -> Records:
    """Overrun policy catch_up: each of `long` takes 20 periods, the slots after it run at once."""
    found = run(first, count)
    end = np.uint64(0)
    for row in found:
        start = max(row["scheduled_ns"] + np.uint64(5_000), end)
        work = np.uint64(20 * PERIOD if row["cycle"] in long else 20_000)
        row["wake_ns"], row["commit_ns"] = start, start + work
        row["end_ns"] = end = start + work + np.uint64(5_000)
        if row["commit_ns"] - row["scheduled_ns"] > 900_000:
            row["flags"] = MISS
    return found


@pytest.mark.parametrize("size", [7, 900])
def test_slots_after_a_long_cycle_are_explained_by_it(
    segment: Segment, folder: Path, size: int
) -> None:
    recorder = made(segment, folder)
    feed(recorder, caught_up(0, 900, 300, 350), size)
    (head,) = incidents(folder)
    assert [late["cycle"] for late in head["late"]] == [300, 350]
    assert [late["causes"] for late in head["late"]] == [["worked long"], ["worked long"]]
    assert [late["held_up"] for late in head["late"]] == [19, 19]
    assert head["late_count"] == 40


@pytest.mark.parametrize("size", [7, 2000])
def test_slots_after_a_long_cycle_are_no_kind_of_a_storm(
    segment: Segment, folder: Path, size: int
) -> None:
    recorder = made(segment, folder)
    feed(recorder, caught_up(0, 2000, 300, 1000), size)
    (head,) = incidents(folder)
    assert head["cycle"] == 300
    assert recorder.folded == 20
