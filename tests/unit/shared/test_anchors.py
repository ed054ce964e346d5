from __future__ import annotations

import numpy as np
import pytest

from shared.anchors import Anchors
from shared.core import lib
from shared.enums import RegionId
from shared.segment import Segment

DAY_NS = 86_400_000_000_000


def add(segment: Segment, monotonic_ns: int, realtime_ns: int) -> None:
    clock = segment.struct(RegionId.CLOCK)
    anchor = clock.anchor[clock.count % lib.MXRC_ANCHORS]
    anchor.monotonic_ns, anchor.realtime_ns = monotonic_ns, realtime_ns
    clock.count += 1


def times(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def test_each_moment_is_converted_with_the_anchor_in_force_then(
    rt: Segment, reader: Segment
) -> None:
    anchors = Anchors(reader)
    add(rt, 1000, 5_000_000)
    add(rt, 2000, 9_000_000)  # the wall clock was stepped forward
    add(rt, 3000, 1_000_000)  # and back behind its beginning
    converted = anchors.realtime_array(times(500, 1000, 1999, 2000, 2999, 3000, 4000))
    assert converted.tolist() == [
        4_999_500,
        5_000_000,
        5_000_999,
        9_000_000,
        9_000_999,
        1_000_000,
        1_001_000,
    ]


@pytest.mark.parametrize("count", [1, 2, 61, 62, 63, 64, 65, 200])
def test_arrays_and_single_values_agree_with_the_core(
    rt: Segment, reader: Segment, count: int
) -> None:
    anchors = Anchors(reader)
    for index in range(count):
        add(rt, 1000 * (index + 1), DAY_NS + 7_000_000 * index * (-1) ** index)
    moments = times(*range(0, 1000 * (count + 2), 250))
    one_by_one = [anchors.realtime_ns(int(moment)) for moment in moments]
    assert anchors.realtime_array(moments).tolist() == one_by_one


def test_without_an_anchor_the_clocks_as_they_are(rt: Segment, reader: Segment) -> None:
    anchors = Anchors(reader)
    now = times(lib.mxrc_now_ns())
    wall = lib.mxrc_realtime_ns()
    assert abs(int(anchors.realtime_array(now)[0]) - wall) < 5_000_000_000
    add(rt, 0, DAY_NS)
    assert anchors.realtime_array(times(1)).tolist() == [DAY_NS + 1]
