"""A small segment in this process: made as an RT process does, attached as Non-RT does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.config import Config, load_config
from shared.datastore import cell_counts, fill_directory
from shared.enums import Access, NameKind
from shared.names import Names
from shared.segment import Geometry, Segment
from tests.helpers import ROOT
from tests.unit.config.conftest import copy_files


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The shipped configuration."""
    folder = copy_files(ROOT / "config", tmp_path_factory.mktemp("config"))
    return load_config(folder, environ={}, check_machine=False)


def small_geometry(instance: str, config: Config) -> Geometry:
    rt_cells, nonrt_cells = cell_counts(config.datastore)
    return Geometry(
        instance=instance,
        build="test",
        config_hash=1,
        period_ns=1_000_000,
        axis_count=len(config.robot.axes),
        max_members=2,
        cycle_slots=256,
        event_slots=256,
        command_slots=16,
        staging_slots=4,
        names_rt=32,
        names_nonrt=256,
        data_keys=len(config.datastore.keys),
        data_rt_cells=rt_cells,
        data_nonrt_cells=nonrt_cells,
    )


@pytest.fixture
def rt(instance: str, config: Config, tmp_path: Path) -> Iterator[Segment]:
    """The segment as its creator sees it, published."""
    segment = Segment.open_rt(small_geometry(instance, config), tmp_path / "lock")
    assert segment.created
    names = Names(segment)
    for axis in config.robot.axes:
        names.intern(NameKind.AXIS, axis.name)
    fill_directory(segment, config.datastore)
    segment.publish()
    yield segment
    if segment.attached:
        if segment.current():
            segment.retire(tmp_path / "lock")
        segment.detach()


@pytest.fixture
def nonrt(rt: Segment, instance: str) -> Iterator[Segment]:
    """The same segment as the Non-RT process sees it."""
    with Segment.attach(instance, Access.NONRT) as segment:
        yield segment


@pytest.fixture
def reader(rt: Segment, instance: str) -> Iterator[Segment]:
    """The same segment as an inspector sees it."""
    with Segment.attach(instance) as segment:
        yield segment
