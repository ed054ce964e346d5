"""What the tests of consumers and services stand on.

`fake_context(tmp_path)` is a context of the shipped configuration with its folders below tmp_path;
`events(...)` and `cycles(...)` make records, `batch(...)` joins them; `real_segment(...)` makes
a small segment as an RT process would (its writer side is `publish`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nonrt_process.batch import Batch
from nonrt_process.context import AttachProblem, Context
from shared.clock import FakeClock
from shared.config import Config, ConfigStore, load_config
from shared.config.paths import Paths
from shared.core import ffi, lib
from shared.enums import Access, RegionId, RtState
from shared.layout import CYCLE_DTYPE, EVENT_DTYPE, Records
from shared.resources import resource_path
from shared.segment import Geometry, Segment
from tests.helpers import unique_instance

GENERATION = 1_700_000_000_000_000_000


class FakeHeart:
    """A heart whose segment the test sets."""

    def __init__(self, clock: FakeClock, segment: Any = None) -> None:
        self.clock = clock
        self.segment = segment
        self.problem: AttachProblem | None = AttachProblem("absent", "no RT process in this test")
        self.started_ns = clock.monotonic_ns()

    @property
    def last_beat_ns(self) -> int:
        return self.clock.monotonic_ns()


class FakeContext(Context):
    """A Context with a FakeClock; `heart.segment` may be set to a segment."""

    clock: FakeClock
    heart: FakeHeart


def fake_context(
    tmp_path: Path, settings: Mapping[str, str] | None = None, segment: Any = None
) -> FakeContext:
    """settings: overrides as in the environment, e.g. {"MXRC_API__PORT": "0"}."""
    folders = {name: tmp_path / name for name in ("run", "log", "checkpoint", "data")}
    for folder in folders.values():
        folder.mkdir(mode=0o750, exist_ok=True)
    config = _shipped(tuple(sorted((settings or {}).items())))
    names = {f"{name}_dir": str(folder) for name, folder in folders.items()}
    instance = config.instance.model_copy(update={"instance": unique_instance(), **names})
    paths = Paths(**{f"{name}_dir": folder for name, folder in folders.items()})
    clock = FakeClock()
    store = ConfigStore(replace(config, instance=instance, paths=paths))
    return FakeContext(store, clock, FakeHeart(clock, segment))


@cache
def _shipped(settings: tuple[tuple[str, str], ...]) -> Config:
    environ = {"HOME": "/nonexistent", **dict(settings)}
    return load_config(resource_path("config"), environ=environ, check_machine=False)


def records(dtype: np.dtype[np.void], rows: Sequence[Mapping[str, Any]], first: int = 0) -> Records:
    """One record a row, all fields zero but those given; numbered from `first` on."""
    out = np.zeros(len(rows), dtype=dtype)
    for index, row in enumerate(rows):
        out[index]["seq"] = 2 * (first + index) + 2
        for name, value in row.items():
            out[index][name] = value
    return out


def events(rows: Sequence[Mapping[str, Any]], first: int = 0) -> Records:
    """Event records; fields as in struct mxrc_event (trace_id: a sequence of 16 numbers)."""
    return records(EVENT_DTYPE, rows, first)


def cycles(rows: Sequence[Mapping[str, Any]], first: int = 0) -> Records:
    """Cycle records; fields as in struct mxrc_cycle_record."""
    return records(CYCLE_DTYPE, rows, first)


def batch(
    event_records: Records | None = None,
    cycle_records: Records | None = None,
    *,
    lanes: Sequence[int] | None = None,
    generation: int = GENERATION,
    lost_events: int = 0,
    lost_cycles: int = 0,
) -> Batch:
    """A batch; without `lanes` every event is from lane 0."""
    found = events([]) if event_records is None else event_records
    return Batch(
        generation=generation,
        events=found,
        lanes=np.asarray([0] * len(found) if lanes is None else lanes, dtype=np.uint8),
        cycles=cycles([]) if cycle_records is None else cycle_records,
        lost_events=lost_events,
        lost_cycles=lost_cycles,
    )


@contextmanager
def real_segment(
    tmp_path: Path,
    instance: str | None = None,
    fill: Callable[[Segment], None] | None = None,
    **geometry: int,
) -> Iterator[tuple[Segment, Segment]]:
    """A small live segment: (as the RT process has it, as the Non-RT process attaches it).

    fill: called before it is published (names, data store). geometry: fields of Geometry that shall
    differ. Removed at the end.
    """
    name = instance or unique_instance()
    values: dict[str, int] = {
        "config_hash": 1,
        "period_ns": 1_000_000,
        "axis_count": 6,
        "max_members": 2,
        "cycle_slots": 256,
        "event_slots": 256,
        "command_slots": 16,
        "staging_slots": 8,
        "names_rt": 64,
        "names_nonrt": 256,
        "data_keys": 8,
        "data_rt_cells": 4,
        "data_nonrt_cells": 4,
    }
    values.update(geometry)
    shape = Geometry(instance=name, build="test", **values)
    lock = tmp_path / f"{name}.lock"
    rt = Segment.open_rt(shape, lock)
    try:
        if fill is not None:
            fill(rt)
        rt.publish()
        yield rt, Segment.attach(name, Access.NONRT)
    finally:
        rt.retire(lock)
        rt.detach()


def publish(rt: Segment, region: int, rows: Records) -> None:
    """Write records into a ring as its writer does (the sequence words are the ring's own)."""
    ring = ffi.new("struct mxrc_ring *")
    assert lib.mxrc_ring_open(ring, rt.raw, int(region)) == 0
    for row in rows:
        lib.mxrc_ring_publish(ring, ffi.from_buffer(row.tobytes()))


def publish_events(rt: Segment, rows: Sequence[Mapping[str, Any]], lane: int = 0) -> None:
    """Write events into a lane."""
    publish(rt, RegionId.LANE + lane, events(rows))


def publish_cycles(rt: Segment, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write cycle records."""
    publish(rt, RegionId.CYCLE_RING, cycles(rows))


def become_primary(
    rt: Segment,
    *,
    state: RtState = RtState.RUNNING,
    epoch: int = 1,
    heartbeat_ns: int | None = None,
) -> None:
    """Have the segment say that this very process is the PRIMARY and has just finished a cycle."""
    rt.lease.owner = (epoch << 16) | (rt.member + 1)
    rt.lease.period_ns = 1_000_000
    rt.lease.start_count = max(1, int(rt.lease.start_count))
    member = rt.member_struct(rt.member)
    member.pid = os.getpid()
    member.process_start = lib.mxrc_process_start(os.getpid())
    member.role = int(lib.MXRC_ROLE_PRIMARY)
    status = rt.rt_status
    status.state = int(state)
    status.pid = os.getpid()
    status.heartbeat_ns = lib.mxrc_now_ns() if heartbeat_ns is None else heartbeat_ns
