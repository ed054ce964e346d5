"""A segment in this process with a few records in its rings, and a runner of the verbs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.cli import shm
from shared.config import Config
from shared.core import ffi, lib, now_ns
from shared.datastore import fill_directory
from shared.enums import EventKind, Level, NameKind, RegionId, RtState, SpanOperation
from shared.events import message_id
from shared.names import Names
from shared.segment import Segment
from tests.unit.shared.conftest import small_geometry

PERIOD_NS = 1_000_000


@dataclass(frozen=True)
class Result:
    """Of a verb."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[Any]:
        """Of a verb that gives a document a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


Run = Callable[..., Result]


def publish_cycle(segment: Segment, cycle: int, *, jitter_ns: int = 20_000, **fields: Any) -> None:
    """A cycle record as the executive writes it."""
    origin = int(segment.lease.grid_origin_ns)
    scheduled = origin + cycle * PERIOD_NS
    wake = scheduled + jitter_ns
    record = ffi.new(
        "struct mxrc_cycle_record *",
        {
            "cycle": cycle,
            "scheduled_ns": scheduled,
            "wake_ns": wake,
            "commit_ns": wake + 3_000,
            "end_ns": wake + 5_000,
            "state": int(RtState.RUNNING),
            "epoch": 1,
            "axes": int(segment.header.axis_count),
            **fields,
        },
    )
    _publish(segment, RegionId.CYCLE_RING, record)


def publish_event(segment: Segment, lane: int = 0, **fields: Any) -> None:
    """An event record."""
    _publish(segment, RegionId.LANE + lane, ffi.new("struct mxrc_event *", fields))


def _publish(segment: Segment, region: int, record: Any) -> None:
    ring = ffi.new("struct mxrc_ring *")
    assert lib.mxrc_ring_open(ring, segment.raw, int(region)) == 0
    lib.mxrc_ring_publish(ring, record)


@pytest.fixture
def filled(instance: str, config: Config, tmp_path: Path) -> Iterator[Segment]:
    """A published segment: 100 cycles (the last one late, two slots skipped before it), events and
    a task with its spans; its RT process is this one."""
    segment = Segment.open_rt(small_geometry(instance, config), tmp_path / f"{instance}.lock")
    names = Names(segment)
    for axis in config.robot.axes:
        names.intern(NameKind.AXIS, axis.name)
    task = names.intern(NameKind.TASK, "demo")
    action = names.intern(NameKind.ACTION, "wave")
    fill_directory(segment, config.datastore)
    segment.publish()
    begin = now_ns() - 200 * PERIOD_NS
    lease, status = segment.lease, segment.rt_status
    lease.grid_origin_ns, lease.period_ns = begin, PERIOD_NS
    lease.owner, lease.admitted_epoch, lease.start_count = (1 << 16) | 1, 1, 1
    status.state, status.slots, status.epoch = int(RtState.RUNNING), 1, 1
    status.pid, status.cycle, status.cycles_run = segment.member_struct(0).pid, 101, 1
    assert lib.mxrc_clock_update(segment.raw)
    for cycle in range(99):
        publish_cycle(segment, cycle, task_name=task, action_name=action, step=1)
    flags = int(lib.MXRC_CYCLE_DEADLINE_MISS | lib.MXRC_CYCLE_SKIPPED_BEFORE)
    publish_cycle(segment, 101, jitter_ns=950_000, skipped=2, flags=flags)
    publish_event(
        segment,
        time_ns=begin + 10_000,
        kind=int(EventKind.STATE),
        level=int(Level.ERROR),
        message_id=message_id("STATE_CHANGED"),
        args=[float(RtState.READY), float(RtState.RUNNING), 0.0, 0.0],
        epoch=1,
    )
    for operation, duration in (
        (SpanOperation.ACTION_EXECUTE, 4_000_000),
        (SpanOperation.TASK_EXECUTE, 5_000_000),
    ):
        publish_event(
            segment,
            time_ns=begin + 20_000_000,
            start_ns=begin + 20_000_000 - duration,
            kind=int(EventKind.SPAN),
            code=int(operation),
            epoch=1,
            trace_id=bytes(range(16)),
            span_id=bytes([0, 0, 0, 0, 0, 0, 0, int(operation)]),
            task_id=b"demo-1",
            task_name=task,
            action_name=action if operation == SpanOperation.ACTION_EXECUTE else 0,
            execution_id=7,
            span_status=1,
        )
    yield segment
    segment.retire(tmp_path / f"{instance}.lock")


@pytest.fixture
def run(instance: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Run:
    """Runs `mxrc-shm VERB ... --instance` in this process."""
    monkeypatch.setenv("MXRC_INSTANCE__RUN_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(verb: str, *arguments: str, own: bool = True) -> Result:
        capsys.readouterr()
        chosen = ["--instance", instance] if own and verb != "list" else []
        status = shm.main([verb, *arguments, *chosen])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call
