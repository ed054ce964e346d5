"""Keeps what tracing costs within its budget, by lowering the sampling rates for a while.

Cost is the larger of two shares: of the time in the cycle that recording spans takes (measured by
RT), and of a CPU that encoding, storing and sending them takes here. Reading the rings costs the
same whatever is sampled and is not counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

WINDOW_NS: Final = 5_000_000_000
MIN_FACTOR: Final = 1 / 64
CALM_WINDOWS: Final = 3
"""In a row that must be well within the budget before the rates are raised again."""
CALM: Final = 0.8
"""Share of the budget that twice the cost must stay below."""


class CpuCost:
    """CPU time that threads of this process have spent on spans."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ns = 0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Count the CPU time of the calling thread within."""
        begun = time.thread_time_ns()
        try:
            yield
        finally:
            spent = time.thread_time_ns() - begun
            with self._lock:
                self._ns += spent

    @property
    def total_ns(self) -> int:
        """Since the start."""
        return self._ns


class Readings(NamedTuple):
    """Totals. rt_ns: spans in the cycle; cycle_ns: all of the cycles; own_ns: CPU time here."""

    rt_ns: int
    cycle_ns: int
    own_ns: int


class Governor:
    """tick belongs to one thread; factor, rt_share and own_share may be read by others.

    budget: share that tracing may cost. changed: called with a new factor.
    """

    def __init__(
        self,
        read: Callable[[], Readings],
        budget: Callable[[], float],
        changed: Callable[[float], None],
        log: logging.Logger,
    ) -> None:
        self._read = read
        self._budget = budget
        self._changed = changed
        self._log = log
        self._begun_ns: int | None = None
        self._before = Readings(0, 0, 0)
        self._calm = 0
        self.factor = 1.0
        """What the configured rates are multiplied with."""
        self.rt_share = 0.0
        self.own_share = 0.0

    def tick(self, now_ns: int) -> None:
        """Judge each window. now_ns: CLOCK_MONOTONIC."""
        if self._begun_ns is not None and now_ns - self._begun_ns < WINDOW_NS:
            return
        begun_ns, self._begun_ns = self._begun_ns, now_ns
        before, self._before = self._before, self._read()
        if begun_ns is None:
            return
        cycles = self._before.cycle_ns - before.cycle_ns
        spent = self._before.rt_ns - before.rt_ns
        # Fewer than before: another generation.
        self.rt_share = spent / cycles if cycles > 0 and spent > 0 else 0.0
        self.own_share = max(0, self._before.own_ns - before.own_ns) / (now_ns - begun_ns)
        self._judge(max(self.rt_share, self.own_share), self._budget())

    def _judge(self, cost: float, budget: float) -> None:
        if cost > budget:
            self._calm = 0
            if self.factor > MIN_FACTOR:
                self._set(self.factor / 2)
                self._log.warning(
                    "Tracing costs %.1f %% of the cycle and %.1f %% of a CPU here, more than its "
                    "budget of %g %%: sampling rates are lowered to %.4g of what is configured",
                    self.rt_share * 100,
                    self.own_share * 100,
                    budget * 100,
                    self.factor,
                )
            return
        self._calm = self._calm + 1 if 2 * cost < CALM * budget else 0
        if self.factor < 1 and self._calm >= CALM_WINDOWS:
            self._calm = 0
            self._set(min(1.0, self.factor * 2))
            self._log.warning(
                "Tracing is within its budget: sampling rates are raised to %.4g of what is "
                "configured",
                self.factor,
            )

    def _set(self, factor: float) -> None:
        self.factor = factor
        self._changed(factor)
