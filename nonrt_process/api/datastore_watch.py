"""What has changed in the data store since somebody looked last."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np

from nonrt_process.api.event_stream import Message
from nonrt_process.context import Context
from nonrt_process.process_info import rfc3339
from shared.anchors import Anchors
from shared.datastore import DataStore, DataStoreError, Key
from shared.enums import RegionId
from shared.layout import Records, struct_view
from shared.segment import Segment

ABSENT: Final = "the RT process does not run: values come again once it does"


class _Generation:
    """The chosen keys of one segment; writes: how often each had been written at the last look."""

    def __init__(self, segment: Segment, keys: Collection[str]) -> None:
        self.segment = segment
        self.store = DataStore(segment)
        self.anchors = Anchors(segment)
        chosen = [key for key in self.store.keys.values() if not keys or key.name in keys]
        self.keys = [key for key in chosen if key.definition.writer == "rt"]
        rt = len(self.keys)
        self.keys += [key for key in chosen if key.definition.writer != "rt"]
        self._cells = [
            (_cells(segment, RegionId.DATA_RT), [key.cell for key in self.keys[:rt]]),
            (_cells(segment, RegionId.DATA_NONRT), [key.cell for key in self.keys[rt:]]),
        ]
        self.writes = np.zeros(len(self.keys), np.int64)

    def count(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(n,) how often each key has been written; one look at the sequence words."""
        words = [cells["seq"][which] for cells, which in self._cells if which]
        if not words:
            return self.writes
        counted: np.ndarray[Any, np.dtype[np.int64]] = np.concatenate(words).astype(np.int64) >> 1
        return counted


def _cells(segment: Segment, region: RegionId) -> Records:
    count = segment.description(region).element_count
    return struct_view(segment, region, "struct mxrc_data_cell", count=count)


class Watch:
    """For one stream. keys: names; empty: all. Each look costs what has changed since the last.

    The first look at a generation gives every key. `skipped` says how many writes there were
    between two values that are given: what is in between is not kept for anybody.
    """

    def __init__(self, context: Context, keys: Collection[str]) -> None:
        self._context = context
        self._names = keys
        self._generation: _Generation | None = None
        self._told_absent = False

    def look(self) -> list[Message]:
        """Messages `change`; `absent` once when the segment has gone."""
        segment = self._context.segment
        if segment is None:
            self._generation = None
            told, self._told_absent = self._told_absent, True
            return [] if told else [Message("absent", {"detail": ABSENT})]
        self._told_absent = False
        generation = self._generation
        first = generation is None or generation.segment is not segment
        if generation is None or first:
            generation = self._generation = _Generation(segment, self._names)
        # Counted before the values are read: one written in between is found at the next look.
        counted = generation.count()
        before = generation.writes
        generation.writes = counted
        found = []
        for at in range(len(counted)) if first else np.flatnonzero(counted != before).tolist():
            skipped = 0 if first else max(0, int(counted[at] - before[at]) - 1)
            try:
                found.append(_change(generation, generation.keys[at], skipped))
            except DataStoreError:
                # Its writer died in the middle of a write, or is writing: look again.
                generation.writes[at] = before[at]
        return found


def _change(generation: _Generation, key: Key, skipped: int) -> Message:
    stored = generation.store.read(key.name)
    value = list(stored.value) if isinstance(stored.value, tuple) else stored.value
    return Message(
        "change",
        {
            "key": key.name,
            "value": value,
            "type": key.definition.type,
            "unit": key.definition.unit,
            "written": _written(generation.anchors.realtime_ns, stored.time_ns),
            "skipped": skipped,
        },
    )


def _written(realtime_ns: Callable[[int], int], time_ns: int) -> str | None:
    return rfc3339(realtime_ns(time_ns)) if time_ns else None
