"""Reading a segment that may lose its bytes meanwhile: a look must not die of what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from shared.core import ffi, lib
from shared.enums import OpenResult
from shared.segment import Segment
from shared.segment_errors import SegmentAbsent, SegmentCorrupt

Found = TypeVar("Found")


def read_guarded(segment: Segment, read: Callable[[Segment], Found]) -> Found:
    """What `read` returns. For the main thread, one at a time: see mxrc_bus_guard.

    Raises:
        SegmentAbsent: the segment was removed while it was read.
        SegmentCorrupt: it was cut or replaced while it was read.
    """
    lib.mxrc_bus_guard(segment.raw)
    try:
        found = read(segment)
    except Exception:
        _still_there(segment)  # of one that has lost its bytes anything may be raised
        raise
    finally:
        lib.mxrc_bus_guard(ffi.NULL)
    _still_there(segment)
    return found


def _still_there(segment: Segment) -> None:
    result = lib.mxrc_segment_current(segment.raw)
    if result == OpenResult.ABSENT:
        raise SegmentAbsent(f"the segment {segment.name} was removed while it was read")
    if result != OpenResult.OK:
        raise SegmentCorrupt(f"the segment {segment.name} was cut or replaced while it was read")
