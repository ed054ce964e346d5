"""Wall-clock times as text, read to the nanosecond.

A float of seconds since 1970 has steps of 238 ns, and `datetime` ends at the microsecond: through
either, the time that a record was printed with may come back later than the record.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FRACTION: Final = re.compile(r"(?<=\d:\d\d:\d\d)[.,](\d+)")


def realtime_ns(text: str) -> int:
    """Nanoseconds since 1970-01-01T00:00:00Z of an ISO 8601 time, UTC where it has no zone.

    Digits beyond the nanosecond are cut off.

    Raises:
        ValueError: it is no such time.
    """
    found = _FRACTION.search(text)
    if found is None:
        return _without_fraction_ns(text)
    whole_ns = _without_fraction_ns(text[: found.start()] + text[found.end() :])
    if whole_ns % 10**9:
        raise ValueError(f"{text!r} is no isoformat: two fractions of a second")
    return whole_ns + int(found[1][:9].ljust(9, "0"))


@lru_cache(64)
def _without_fraction_ns(text: str) -> int:
    """Of one that `_FRACTION` found nothing in; other forms have theirs to the microsecond."""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - _EPOCH) // _MICROSECOND * 1000
