"""Which checkpoints go: more than a day from now, or beyond a number; the newest good one never.

The newest is told by the time in the name, and the wall clock may have been set back: see `stamp`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from shared.checkpoint_file import CheckpointFile

KEEP: Final = timedelta(hours=24)
KEEP_FILES: Final = 2000


def stamp(files: Iterable[CheckpointFile], now: datetime, keep: timedelta = KEEP) -> datetime:
    """The time to write the next one under, so that it is the newest: `now`, or that of one from
    before the wall clock was set back. One more than a day ahead does not count: it goes.
    """
    times = (file.timestamp for file in files)
    return max([now, *(time for time in times if time - now <= keep)])


def prune(
    files: Iterable[CheckpointFile], now: datetime, keep: timedelta = KEEP, count: int = KEEP_FILES
) -> list[CheckpointFile]:
    """Delete what is not to be kept; returns what is left, oldest first.

    files: good checkpoints of one process and instance, the one written last at the end. One that
    cannot be deleted is left.
    """
    given = list(files)
    before = [file for file in given[:-1] if not (file.timestamp - now > keep and _delete(file))]
    ordered = sorted([*before, *given[-1:]], key=lambda file: file.order)
    kept = []
    for index, file in enumerate(ordered):
        newest = index == len(ordered) - 1
        too_many = len(ordered) - index > count
        if not newest and (too_many or now - file.timestamp > keep) and _delete(file):
            continue
        kept.append(file)
    return kept


def _delete(file: CheckpointFile) -> bool:
    with suppress(OSError):
        file.path.unlink(missing_ok=True)
        return True
    return False
