"""Wall-clock times as text, read to the nanosecond.

A float of seconds since 1970 has steps of 238 ns, and `datetime` ends at the microsecond: through
either, the time that a record was printed with may come back later than the record.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

_SECOND: Final = timedelta(seconds=1)
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
        return _whole_s(text) * 10**9
    whole = text[: found.start()] + text[found.end() :]
    return _whole_s(whole) * 10**9 + int(found[1][:9].ljust(9, "0"))


@lru_cache(64)
def _whole_s(text: str) -> int:
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - _EPOCH) // _SECOND
