"""Going on from a checkpoint: the segment is gone, the files are there."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from shared.checkpoint_file import CheckpointFile, load_newest, write_checkpoint
from shared.datastore import DataStore
from shared.enums import RegionId, RtState
from shared.events import format_event
from shared.names import Names
from shared.ring import RingReader
from shared.segment import Segment
from tests.processes import BIN, Place, Running, kill, started_rt, wait_for, wait_for_state

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)


def content(place: Place, state: str = "PAUSED", **changes: Any) -> dict[str, Any]:
    rt_state = {
        "state": state,
        "state_before": "RUNNING",
        "safe_cause": "NONE",
        "cycle": 4711,
        "axes": [{"setpoint": 0.0}] * 6,
        **changes,
    }
    return {
        "instance": place.instance,
        "rt_state": rt_state,
        "datastore_snapshot": {
            name: {"type": kind, "value": value, "writer": writer}
            for name, (kind, value, writer) in _critical(place).items()
        },
        "eventbus_queue_snapshot": [],
    }


def _critical(place: Place) -> dict[str, tuple[str, Any, str]]:
    """A value other than its default for each critical number of the shipped data store."""
    keys = json.loads((place.config_dir / "datastore.json").read_text())["keys"]
    return {
        key["name"]: (key["type"], 17, key["writer"])
        for key in keys
        if key.get("critical") and key["type"] == "int64"
    }


def written(place: Place, age_s: float = 0.0, **kwargs: Any) -> CheckpointFile:
    folder = place.folder / "checkpoints"
    return write_checkpoint(
        folder, "rt_process", content(place, **kwargs), NOW - timedelta(seconds=age_s)
    )


def log_lines(segment: Segment) -> list[str]:
    """Text of the log events of all RT threads so far."""
    names = Names(segment)
    return [
        format_event(int(one["message_id"]), one["args"].tolist(), names.resolve)
        for lane in segment.lanes()
        for one in RingReader(segment, RegionId.LANE + lane).read(1000).records
        if one["message_id"]
    ]


def test_goes_on_from_the_newest(place: Place) -> None:
    older = written(place, 60, state="RUNNING")
    newest = written(place)
    with started_rt(place) as running:
        segment = wait_for_state(place, running, RtState.PAUSED)
        assert int(segment.rt_status.last_recovery) == 2
        wait_for(lambda: "ready:" in running.output or None, "ready")
        assert f"Recovered from checkpoint: {newest.checkpoint_id}" in running.output
        assert f"Recovered from checkpoint: {newest.checkpoint_id}" in log_lines(segment)
        assert older.checkpoint_id not in running.output
        store = DataStore(segment)
        values = _critical(place)
        assert values, "the shipped data store has a critical number"
        for name in values:
            assert store.read(name).value == 17


def test_without_a_valid_state_block_in_the_segment(place: Place) -> None:
    """Both blocks are damaged: the newest checkpoint, into the same generation."""
    with started_rt(place) as first:
        segment = wait_for_state(place, first)
        generation = segment.generation
        regions = {one.id: one for one in segment.regions()}
        kill(first)
    blocks = regions[RegionId.STATE]
    with (Path("/dev/shm") / f"mxrc-{place.instance}").open("r+b") as file:
        for index in range(blocks.element_count):
            file.seek(blocks.offset + index * blocks.element_bytes + 64)
            file.write(b"\xff" * 64)
    newest = written(place)
    with started_rt(place, name="second") as second:
        segment = wait_for_state(place, second, RtState.PAUSED)
        assert segment.generation == generation
        assert int(segment.rt_status.last_recovery) == 2
        wait_for(lambda: "ready:" in second.output or None, "ready")
        assert f"Recovered from checkpoint: {newest.checkpoint_id}" in second.output
        assert f"Recovered from checkpoint: {newest.checkpoint_id}" in log_lines(segment)


def _truncate(file: CheckpointFile) -> None:
    file.path.write_bytes(file.path.read_bytes()[:-30])


def _flip(file: CheckpointFile) -> None:
    file.path.write_bytes(file.path.read_bytes().replace(b"4711", b"4712"))


def _empty(file: CheckpointFile) -> None:
    file.path.write_bytes(b"")


def _link(file: CheckpointFile) -> None:
    target = file.path.with_suffix(".elsewhere")
    file.path.rename(target)
    file.path.symlink_to(target)


def _future(file: CheckpointFile) -> None:
    document = json.loads(file.path.read_text())
    document["format"] = 99
    file.path.write_text(json.dumps(document))


def _folder(file: CheckpointFile) -> None:
    file.path.unlink()
    file.path.mkdir()


@pytest.mark.parametrize("spoil", [_truncate, _flip, _empty, _link, _future, _folder])
def test_bad_ones_are_skipped_by_name(place: Place, spoil: Any) -> None:
    good = written(place, 60)
    bad = written(place, state="ERROR")
    spoil(bad)
    with started_rt(place) as running:
        wait_for_state(place, running, RtState.PAUSED)
        wait_for(lambda: good.checkpoint_id in running.output or None, "the older one")
        assert f"Checkpoint skipped: {bad.path}" in running.output


@pytest.mark.parametrize(
    "changes",
    [{"axes": [{"setpoint": 0.0}] * 5}, {"state": "DANCING"}, {"axes": "none"}, {"cycle": None}],
)
def test_good_files_of_another_machine_are_skipped(place: Place, changes: dict[str, Any]) -> None:
    bad = written(place, **{"state": "PAUSED", **changes})
    with started_rt(place) as running:
        segment = wait_for_state(place, running)
        assert int(segment.rt_status.last_recovery) == 0
        wait_for(lambda: "Clean start" in running.output or None, "clean start")
        assert str(bad.path) in running.output


def test_after_an_orderly_stop_older_ones_do_not_count(place: Place) -> None:
    written(place, 60, state="ERROR")
    written(place, state="SHUTDOWN")
    with started_rt(place) as running:
        segment = wait_for_state(place, running)
        assert int(segment.rt_status.last_recovery) == 0
        wait_for(lambda: "Clean start" in running.output or None, "clean start")


def test_recovery_can_be_switched_off(place: Place) -> None:
    written(place)
    place.environ["MXRC_FAILOVER_POLICY__RT_PROCESS__ENABLE_STATE_RECOVERY"] = "false"
    with started_rt(place) as running:
        segment = wait_for_state(place, running)
        assert int(segment.rt_status.last_recovery) == 0


@pytest.fixture
def nonrt(place: Place) -> Iterator[Running]:
    running = Running([str(BIN / "mxrc-nonrt")], place.environ, place.folder / "nonrt.out")
    yield running
    running.end()


def get(place: Place, path: str) -> dict[str, Any]:
    endpoints = json.loads((place.folder / "run" / f"{place.instance}.endpoints.json").read_text())
    with urllib.request.urlopen(endpoints["urls"]["http"] + path, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def recovery_span(place: Place) -> dict[str, Any] | None:
    """Of the newest recovery that is no clean start."""
    for trace in get(place, "/api/v1/traces")["traces"]:
        if trace["root"] == "rt.recovery":
            (span,) = get(place, f"/api/v1/traces/{trace['trace_id']}")["spans"]
            if span["attributes"]["mxrc.recovery"] != "clean_start":
                return dict(span)
    return None


def test_after_a_crash_without_the_segment(place: Place, nonrt: Running) -> None:
    # A busy machine is to be no reason for SAFE_MODE: the checkpoint of RUNNING is wanted.
    place.environ["MXRC_RT_SCHEDULE__HEARTBEAT_TIMEOUT_MS"] = "20000"
    folder = place.folder / "checkpoints"

    def newest(state: str) -> CheckpointFile | None:
        found = load_newest(folder, "rt_process", place.instance, lambda _line: None)
        if found is None or found.document["rt_state"]["state"] != state:
            return None
        return found

    with started_rt(place) as first:
        wait_for_state(place, first)
        wait_for(lambda: newest("RUNNING"), "a checkpoint")
        kill(first)
        (Path("/dev/shm") / f"mxrc-{place.instance}").unlink()
    last = newest("RUNNING")
    assert last is not None
    with started_rt(place, name="second") as second:
        segment = wait_for_state(place, second)
        assert int(segment.rt_status.last_recovery) == 2
        identity = load_newest(folder, "rt_process", place.instance, lambda _line: None)
        assert identity is not None
        wait_for(lambda: "Recovered from checkpoint: " in second.output or None, "its line")
        log = place.folder / "log" / "rt_process.log"
        wait_for(
            lambda: f"Recovered from checkpoint: {last.checkpoint_id}" in log.read_text() or None,
            "the line in rt_process.log",
        )
        span = wait_for(lambda: recovery_span(place), "its trace")
        assert span["attributes"]["mxrc.recovery"] == "checkpoint"
        assert span["attributes"]["mxrc.checkpoint_id"] == last.checkpoint_id
