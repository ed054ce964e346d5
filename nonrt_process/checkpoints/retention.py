"""Which checkpoints go: older than a day, or beyond a number; the newest good one never."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from shared.checkpoint_file import CheckpointFile

KEEP: Final = timedelta(hours=24)
KEEP_FILES: Final = 2000


def prune(
    files: Iterable[CheckpointFile], now: datetime, keep: timedelta = KEEP, count: int = KEEP_FILES
) -> list[CheckpointFile]:
    """Delete what is not to be kept; returns what is left, oldest first.

    files: good checkpoints of one process and instance. One that cannot be deleted is left.
    """
    ordered = sorted(files, key=lambda file: file.order)
    kept = []
    for index, file in enumerate(ordered):
        newest = index == len(ordered) - 1
        too_many = len(ordered) - index > count
        if not newest and (too_many or now - file.timestamp > keep):
            with suppress(OSError):
                file.path.unlink(missing_ok=True)
                continue
        kept.append(file)
    return kept
