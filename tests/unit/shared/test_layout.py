from __future__ import annotations

import numpy as np
import pytest

from shared.core import ffi
from shared.enums import RegionId
from shared.layout import (
    COMMAND_DTYPE,
    CYCLE_DTYPE,
    EVENT_DTYPE,
    dtype_of,
    ring_dtype,
    struct_view,
)
from shared.segment import Segment


def test_records_have_the_size_of_a_slot() -> None:
    assert {CYCLE_DTYPE.itemsize, EVENT_DTYPE.itemsize, COMMAND_DTYPE.itemsize} == {256}


@pytest.mark.parametrize(
    "struct", ["mxrc_cycle_record", "mxrc_event", "mxrc_task_state", "mxrc_op"]
)
def test_every_field_is_where_c_has_it(struct: str) -> None:
    dtype = dtype_of(f"struct {struct}")
    assert dtype.fields is not None
    for name, field in ffi.typeof(f"struct {struct}").fields:
        assert dtype.fields[name][1] == field.offset
        assert dtype.fields[name][0].itemsize == ffi.sizeof(field.type)


def test_values_written_by_c_are_read_back() -> None:
    event = ffi.new("struct mxrc_event *")
    event.seq, event.level, event.task_id = 42, 4, "täsk".encode()
    event.args[5], event.trace_id = -1.5, bytes(range(16))
    read = np.frombuffer(ffi.buffer(event), dtype=EVENT_DTYPE)[0]
    assert (read["seq"], read["level"], read["args"][5]) == (42, 4, -1.5)
    assert read["task_id"].decode() == "täsk"
    assert read["trace_id"].tobytes() == bytes(range(16))


def test_nested_structures_become_nested_dtypes() -> None:
    dtype = dtype_of("struct mxrc_rt_metrics")
    assert dtype["histogram"].shape == (8,)
    assert dtype["histogram"].base["bucket"].shape == (1020,)


def test_regions_that_are_no_ring_have_no_record_type() -> None:
    assert ring_dtype(RegionId.LANE + 3) is EVENT_DTYPE
    with pytest.raises(ValueError, match="not a ring"):
        ring_dtype(RegionId.LEASE)


def test_a_view_shows_what_is_written_and_cannot_write(rt: Segment, reader: Segment) -> None:
    view = struct_view(reader, RegionId.RT_STATUS, "struct mxrc_rt_status")
    rt.rt_status.cycle = 77
    assert view["cycle"][0] == 77
    with pytest.raises(ValueError, match="read-only"):
        view["cycle"][0] = 1
