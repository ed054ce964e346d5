from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.inspector.rows import rfc3339
from shared.wall_time import realtime_ns


@given(st.integers(0, 2**62))
def test_a_printed_time_is_read_to_the_nanosecond(ns: int) -> None:
    (text,) = rfc3339(np.array([ns], np.uint64))
    assert realtime_ns(text) == ns
    assert realtime_ns(text[:26] + "Z") == ns // 1000 * 1000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00", 0),
        ("1970-01-01T00:00:01.5", 1_500_000_000),
        ("1970-01-01 02:00:00.25+02:00", 250_000_000),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
        (" 1970-01-01T00:00:00,5Z\n", 500_000_000),
    ],
)
def test_forms(text: str, ns: int) -> None:
    assert realtime_ns(text) == ns


@pytest.mark.parametrize(
    "text", ["", "now", "12:00:00.5", "1970-01-01T00:00:00.Z5", "1970-01-01T00:00:00.5.25"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="isoformat"):
        realtime_ns(text)
