from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from nonrt_process.checkpoints import retention
from nonrt_process.checkpoints import writer as writer_module
from nonrt_process.checkpoints.plugin import CheckpointsPlugin, create
from nonrt_process.checkpoints.writer import CheckpointWriter
from nonrt_process.interfaces import CheckpointInfo, HealthStatus
from nonrt_process.pump import Pump
from shared.checkpoint_file import CheckpointFile, load_all, write_checkpoint
from shared.clock import FakeClock
from shared.enums import EventKind
from tests.unit.nonrt_process.fakes import batch, events, fake_context, real_segment

SECOND = 1_000_000_000
LOG = logging.getLogger("test.checkpoints")


class Setup:
    """A writer whose state block the test makes up."""

    def __init__(self, folder: Path, interval_s: float = 60) -> None:
        self.folder = folder / "checkpoints"
        self.clock = FakeClock()
        self.cycle: int | None = 100
        self.writer = CheckpointWriter(
            self.folder,
            "test",
            self.clock,
            lambda: round(interval_s * SECOND),
            LOG,
            take=lambda _segment, instance: self.content(instance),
            state_cycle=lambda _segment: self.cycle,
        )
        self.writer.load()

    def content(self, instance: str) -> dict[str, Any] | None:
        if self.cycle is None:
            return None
        return {
            "instance": instance,
            "rt_state": {"cycle": self.cycle},
            "datastore_snapshot": {},
            "eventbus_queue_snapshot": [],
        }

    def attach(self) -> None:
        self.writer.on_attach(None)  # type: ignore[arg-type]  # take and state_cycle are ours
        self.writer._segment = object()  # type: ignore[assignment]

    def tick(self, seconds: float = 0.1) -> None:
        self.clock.advance(round(seconds * SECOND))
        self.writer.on_tick(self.clock.monotonic_ns())

    def cycles(self) -> list[int]:
        found = load_all(self.folder, "rt_process", "test", pytest.fail)
        return [file.document["rt_state"]["cycle"] for file in found][::-1]


def state_change(cycle: int) -> Any:
    return batch(events([{"kind": EventKind.STATE, "cycle": cycle}]))


def test_first_at_once_then_every_interval(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.tick()
    assert setup.cycles() == [], "no RT process, no state"
    setup.attach()
    for second in range(181):
        setup.cycle = 1000 + second
        setup.tick(1)
    assert setup.cycles() == [1000, 1060, 1120, 1180]


def test_a_state_change_waits_for_the_state_block_that_has_it(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.attach()
    setup.tick()
    setup.writer.on_batch(state_change(105))
    setup.tick()
    assert setup.cycles() == [100]
    setup.cycle = 105
    setup.tick()
    assert setup.cycles() == [100, 105]
    setup.tick(50)
    assert setup.cycles() == [100, 105], "the interval counts from the last one"


def test_a_state_change_of_an_rt_process_that_died_is_kept_all_the_same(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.attach()
    setup.tick()
    setup.writer.on_batch(state_change(105))
    setup.tick(2)
    assert setup.cycles() == [100, 100]


def test_the_last_change_before_the_generation_ends_is_kept(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.attach()
    setup.tick()
    setup.writer.on_batch(state_change(105))
    setup.cycle = 104
    setup.writer.on_detach()
    assert setup.cycles() == [100, 104]


def test_nothing_is_written_before_the_first_cycle(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.cycle = None
    setup.attach()
    setup.tick()
    assert not setup.folder.exists()


def test_a_full_disk_keeps_the_old_ones_raises_degraded_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup(tmp_path)
    setup.attach()
    setup.tick()

    def refuse(*_: Any) -> CheckpointFile:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(writer_module, "write_checkpoint", refuse)
        for _ in range(100):
            setup.tick(1)
        finding = setup.writer.check(setup.clock.monotonic_ns())
        assert finding.status == HealthStatus.DEGRADED
        assert "No space left on device" in finding.reason
        assert str(setup.folder) in finding.reason
        assert len(caplog.records) == 1, "said once"
        assert 30 < setup.writer.failures <= 100, "not more often than once a second"
    assert setup.cycles() == [100]
    setup.cycle = 200
    setup.tick(2)
    assert setup.cycles() == [100, 200]
    assert setup.writer.check(setup.clock.monotonic_ns()).status == HealthStatus.HEALTHY


def test_an_old_last_checkpoint_is_degraded(tmp_path: Path) -> None:
    setup = Setup(tmp_path, interval_s=10)
    setup.attach()
    setup.tick()
    now = setup.clock.monotonic_ns()
    assert setup.writer.check(now + 30 * SECOND).status == HealthStatus.HEALTHY
    assert setup.writer.check(now + 40 * SECOND).status == HealthStatus.DEGRADED


def test_last_is_the_newest_also_of_an_earlier_process(tmp_path: Path) -> None:
    first = Setup(tmp_path)
    assert first.writer.last("rt_process") is None
    first.attach()
    first.tick()
    second = Setup(tmp_path)
    found = second.writer.last("rt_process")
    assert found == first.writer.last("rt_process")
    assert found is not None
    assert Path(found.file_path).stat().st_size == found.size_bytes
    assert second.writer.last("non_rt_process") is None


def test_bad_files_are_named_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup(tmp_path)
    setup.attach()
    setup.tick()
    bad = setup.folder / "rt_process_20990101000000.json"
    bad.write_text("{torn")
    with caplog.at_level(logging.ERROR):
        again = Setup(tmp_path)
    assert str(bad) in caplog.text
    last = again.writer.last("rt_process")
    assert last is not None
    assert last.file_path != str(bad)


# ---- retention ---------------------------------------------------------------------------------

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
CONTENT: dict[str, Any] = {
    "instance": "test", "rt_state": {}, "datastore_snapshot": {}, "eventbus_queue_snapshot": [],
}  # fmt: skip


def some(folder: Path, *ages_h: float) -> list[CheckpointFile]:
    return [
        write_checkpoint(folder, "rt_process", CONTENT, NOW - timedelta(hours=age))
        for age in ages_h
    ]


def test_older_than_a_day_go(tmp_path: Path) -> None:
    files = some(tmp_path, 30, 24.1, 23.9, 1)
    assert retention.prune(files, NOW) == files[2:]
    assert sorted(tmp_path.iterdir()) == sorted(file.path for file in files[2:])


def test_beyond_the_number_the_oldest_go(tmp_path: Path) -> None:
    files = some(tmp_path, 5, 4, 3, 2, 1)
    assert retention.prune(files, NOW, count=2) == files[3:]


def test_the_newest_stays_whatever_its_age(tmp_path: Path) -> None:
    files = some(tmp_path, 1000, 999)
    assert retention.prune(files, NOW) == files[1:]
    assert retention.prune([], NOW) == []


def test_what_cannot_be_deleted_is_kept_in_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = some(tmp_path, 30, 1)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert retention.prune(files, NOW) == files


@pytest.mark.parametrize("back_h", [1, 23.9, 24.1, 40_000])
def test_the_wall_clock_set_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, back_h: float
) -> None:
    """What is written after it is the newest, whatever the time in the names before it says."""
    setup = Setup(tmp_path)
    setup.attach()
    setup.tick()
    setup.cycle = 200
    setup.tick(60)
    setup.clock.step_realtime(-round(back_h * 3600 * SECOND))
    for cycle in (300, 400):
        setup.cycle = cycle
        setup.tick(60)
        assert setup.cycles()[-1] == cycle
        last = setup.writer.last("rt_process")
        assert last is not None
        assert last.age_ns == 0
    assert setup.cycles() == ([100, 200, 300, 400] if back_h < 24 else [300, 400])
    assert caplog.text.count("the wall clock was set back") == 1
    again = Setup(tmp_path)
    again.clock = setup.clock
    again.attach()
    again.cycle = 500
    again.tick()
    assert again.cycles()[-1] == 500


# ---- the real thing ----------------------------------------------------------------------------


def test_plugin_without_an_rt_process(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    plugin = create(context)
    assert isinstance(plugin, CheckpointsPlugin)
    plugin.start()
    with real_segment(tmp_path) as (_, nonrt):
        context.heart.segment = nonrt
        pump = Pump(context, plugin.consumers[0])
        pump.turn()
        pump.close()
    assert context.require(CheckpointInfo).last("rt_process") is None, "no cycle was ever run"
    metrics = {
        sample.name: sample.value
        for source in plugin.metrics
        for family in source.collect()
        for sample in family.samples
    }
    assert metrics == {
        "mxrc_failover_checkpoints_written_total": 0,
        "mxrc_failover_checkpoint_failures_total": 0,
    }


def test_content_is_json_without_nan(tmp_path: Path) -> None:
    from shared.checkpoint_snapshot import _finite

    value = _finite({"a": [float("nan"), (1.5, float("inf"))], "b": "x"})
    assert json.dumps(value, allow_nan=False) == '{"a": [null, [1.5, null]], "b": "x"}'
