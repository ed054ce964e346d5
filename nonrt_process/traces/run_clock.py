"""One wall clock for all spans of a run, so that a step of it takes no child out of its parent.

A child is recorded before its parent, and each would take the wall-clock time of its own start: one
that began after a step would lie hours beside the parent that began before it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from nonrt_process.traces.template import Numbers
from shared.enums import SpanOperation
from shared.layout import Records

REMEMBERED: Final = 4096
"""Runs in progress; RT has 16 at a time. More are there only when the ends of some were lost."""


class RunClock:
    """For one thread, spans in the order in which RT recorded them."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}

    def moments(self, spans: Records) -> Numbers:
        """The moment of CLOCK_MONOTONIC whose wall-clock time a span goes by, shape (n,) in ns.

        It is the first start of a span of the same run; spans of no run have their own start.
        """
        starts: Numbers = spans["start_ns"].astype(np.uint64)
        runs, place = np.unique(spans["execution_id"], return_inverse=True)
        first = np.full(len(runs), np.iinfo(np.uint64).max, np.uint64)
        np.minimum.at(first, place, starts)
        for at, run in enumerate(runs.tolist()):
            first[at] = self._first.setdefault(run, int(first[at]))
        for run in spans["execution_id"][spans["code"] == SpanOperation.TASK_EXECUTE].tolist():
            self._first.pop(run, None)
        while len(self._first) > REMEMBERED:
            del self._first[next(iter(self._first))]
        return np.where(spans["execution_id"] == 0, starts, first[place])
