"""Why a segment cannot be used, one class per cause. Needs no numpy."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from shared.core import MxrcError, to_text
from shared.enums import OpenResult


class SegmentError(MxrcError):
    """The segment cannot be used; the message says why and what to do. Base of those below."""


class SegmentAbsent(SegmentError):
    """No segment of that instance: no RT process has started, or it has stopped in order."""


class SegmentForeign(SegmentError):
    """The object of that name is not a segment of ours, or belongs to another user."""


class SegmentLayoutMismatch(SegmentError):
    """The segment was made by another build; the message names both hashes."""


class SegmentCorrupt(SegmentError):
    """The segment is truncated or damaged."""


class SegmentNoSpace(SegmentError):
    """Shared memory has too little room; the message names the size."""


class SegmentSystemError(SegmentError):
    """The operating system refused."""


class SegmentBuilding(SegmentError):
    """The segment is being made: try again."""


class SegmentBusy(SegmentError):
    """A live segment of another shape, or no place for another RT process."""


class SegmentLockError(SegmentError):
    """The lock file of the instance is not to be had."""


class SegmentDetached(SegmentError):
    """This `Segment` was detached."""


_ERRORS: Final[dict[int, type[SegmentError]]] = {
    OpenResult.ABSENT: SegmentAbsent,
    OpenResult.FOREIGN: SegmentForeign,
    OpenResult.LAYOUT: SegmentLayoutMismatch,
    OpenResult.CORRUPT: SegmentCorrupt,
    OpenResult.NO_SPACE: SegmentNoSpace,
    OpenResult.SYSTEM: SegmentSystemError,
    OpenResult.BUILDING: SegmentBuilding,
    OpenResult.BUSY: SegmentBusy,
    OpenResult.LOCK: SegmentLockError,
}


def raise_open_error(result: int, error: Any, name: str) -> NoReturn:
    """Raise what `result` of an open or attach stands for, with the core's line in `error`."""
    kind = _ERRORS.get(result, SegmentSystemError)
    raise kind(to_text(error) or f"{name}: {kind.__doc__}")
