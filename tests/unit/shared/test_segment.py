from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.config import Config
from shared.core import ffi, layout_hash, lib
from shared.enums import Access, RegionId, SegmentState, Writer
from shared.segment import (
    Segment,
    SegmentAbsent,
    SegmentBuilding,
    SegmentBusy,
    SegmentCorrupt,
    SegmentDetached,
    SegmentForeign,
    SegmentLayoutMismatch,
    instances,
    object_name,
)
from tests.helpers import SHM_DIR
from tests.unit.shared.conftest import small_geometry


def shm_file(instance: str) -> Path:
    return SHM_DIR / object_name(instance)[1:]


@contextmanager
def as_if_built_from(instance: str, other_hash: int) -> Iterator[None]:
    """The segment with another layout hash, and the CRC that its maker would have given it."""
    path = shm_file(instance)
    page = bytearray(path.read_bytes()[: 2 * lib.MXRC_PAGE_BYTES])
    original = bytes(page)
    header = ffi.cast("struct mxrc_header *", ffi.from_buffer(page))
    header.layout_hash, state = other_hash, header.state
    header.crc = header.state = 0
    crc = lib.mxrc_crc32c(0, header, ffi.sizeof("struct mxrc_header"))
    rows = lib.MXRC_REGIONS * ffi.sizeof("struct mxrc_region_desc")
    table = ffi.cast("uint8_t *", header) + lib.MXRC_PAGE_BYTES
    header.crc, header.state = lib.mxrc_crc32c(crc, table, rows), state
    with path.open("r+b") as file:
        file.write(page)
        file.flush()
        yield
        file.seek(0)
        file.write(original)


def test_absent_is_said(instance: str) -> None:
    with pytest.raises(SegmentAbsent, match=instance):
        Segment.attach(instance)


def test_a_file_that_is_no_segment_is_foreign(instance: str) -> None:
    shm_file(instance).write_bytes(b"something else".ljust(1 << 16, b"\0"))
    try:
        with pytest.raises(SegmentForeign) as raised:
            Segment.attach(instance)
    finally:
        shm_file(instance).unlink()
    assert "\n" not in str(raised.value)


def test_truncated_is_corrupt(rt: Segment, instance: str) -> None:
    size = shm_file(instance).stat().st_size
    with shm_file(instance).open("r+b") as file:
        file.truncate(size // 2)
        try:
            with pytest.raises(SegmentCorrupt):
                Segment.attach(instance)
        finally:
            file.truncate(size)


def test_another_layout_is_refused_with_both_hashes(rt: Segment, instance: str) -> None:
    with (
        as_if_built_from(instance, layout_hash() ^ 1),
        pytest.raises(SegmentLayoutMismatch) as raised,
    ):
        Segment.attach(instance)
    message = str(raised.value).lower()
    assert f"{layout_hash():x}" in message
    assert f"{layout_hash() ^ 1:x}" in message


def test_what_is_not_published_is_building(instance: str, config: Config, tmp_path: Path) -> None:
    segment = Segment.open_rt(small_geometry(instance, config), tmp_path / "lock")
    with pytest.raises(SegmentBuilding):
        Segment.attach(instance)
    segment.publish()
    with Segment.attach(instance) as attached:
        assert attached.generation == segment.generation
    segment.retire(tmp_path / "lock")


def test_a_live_segment_of_another_shape_is_busy(
    rt: Segment, instance: str, config: Config, tmp_path: Path
) -> None:
    from dataclasses import replace

    other = replace(small_geometry(instance, config), cycle_slots=512)
    with pytest.raises(SegmentBusy):
        Segment.open_rt(other, tmp_path / "lock")
    with Segment.attach(instance) as still:
        assert still.generation == rt.generation


def test_header_says_what_was_asked_for(rt: Segment, reader: Segment, config: Config) -> None:
    header = reader.header
    assert header.layout_hash == layout_hash()
    assert (header.axis_count, header.period_ns) == (6, 1_000_000)
    assert header.state == SegmentState.LIVE
    assert reader.bytes == small_geometry("x", config).bytes == rt.bytes


def test_regions_cover_the_object_without_overlap(reader: Segment) -> None:
    regions = reader.regions()
    assert len({region.name for region in regions}) == len(regions)
    for before, after in itertools.pairwise(regions):
        assert before.offset + before.size <= after.offset
    assert regions[-1].offset + regions[-1].size <= reader.bytes


def test_each_side_writes_its_own_regions_only(
    rt: Segment, nonrt: Segment, reader: Segment
) -> None:
    for region in reader.regions():
        assert not reader.writable(region.id)
        assert reader.view(region.id).readonly
        assert nonrt.writable(region.id) == (region.writer == Writer.NONRT)
    assert rt.writable(RegionId.RT_STATUS)
    assert rt.writable(RegionId.MEMBER + rt.member)
    assert not rt.writable(RegionId.MEMBER + 1 - rt.member)
    assert not rt.writable(RegionId.CONTROL)


def test_lanes_are_two_per_member(reader: Segment) -> None:
    assert reader.lanes() == [0, 1, 2, 3]


def test_what_was_handed_out_stays_readable_after_detach(rt: Segment, instance: str) -> None:
    segment = Segment.attach(instance)
    status, view = segment.rt_status, segment.view(RegionId.RT_STATUS)
    segment.detach()
    gc.collect()
    rt.rt_status.cycle = 5
    assert status.cycle == 5
    assert len(view) > 0
    assert view[0] is not None
    with pytest.raises(SegmentDetached):
        _ = segment.raw
    segment.detach()


def test_unmapped_once_nothing_is_left(rt: Segment, instance: str) -> None:
    def mappings() -> int:
        return Path("/proc/self/maps").read_text().count(instance)

    before = mappings()
    segment = Segment.attach(instance)
    status = segment.rt_status
    assert mappings() > before
    segment.detach()
    assert mappings() > before
    del status
    assert mappings() == before


def test_retired_is_gone_for_others_and_readable_for_whoever_has_it(
    rt: Segment, reader: Segment, instance: str, tmp_path: Path
) -> None:
    assert reader.current()
    assert instance in instances()
    rt.retire(tmp_path / "lock")
    assert not reader.current()
    assert instance not in instances()
    assert reader.header.state == SegmentState.RETIRED
    with pytest.raises(SegmentAbsent):
        Segment.attach(instance, Access.NONRT)
