"""What is frozen, what is folded, and what is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    whole = run(0, 900, 300, 310)
    for at in range(0, 900, 7):
        recorder.on_batch(batch(cycle_records=whole[at : at + 7]))
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
    assert (head["why"], head["cycle"], head["late"]) == ("SAFE_MODE", 250, [])


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
