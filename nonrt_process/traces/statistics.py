"""Figures of tracing: `interfaces.TraceStatistics`, and why spans were given up."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from nonrt_process.interfaces import HistogramSnapshot
from nonrt_process.traces.inbox import Inbox
from nonrt_process.traces.spool import Spool

LATENCY_EDGES_MS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4)


class Statistics:
    """Counts since the start of this process; safe to use from several threads."""

    def __init__(self, inbox: Inbox, spool: Spool) -> None:
        self._inbox = inbox
        self._spool = spool
        self._lock = threading.Lock()
        self._operations: dict[str, int] = {}
        self._refused = 0
        self._lost_in_ring = 0
        self._exported = 0
        self._closed = 0
        self._failures = 0
        self._counts = [0] * (len(LATENCY_EDGES_MS) + 1)
        self._sum_ms = 0.0

    def count_operation(self, operation: str, spans: int = 1) -> None:
        """Spans were made here."""
        with self._lock:
            self._operations[operation] = self._operations.get(operation, 0) + spans

    def count_lost_in_ring(self, events: int) -> None:
        """Events, some of them possibly spans, were overwritten before they were read."""
        with self._lock:
            self._lost_in_ring += events

    def count_closed(self, spans: int) -> None:
        """Spans of RT were ended here, because nobody went on with them."""
        with self._lock:
            self._closed += spans

    def closed(self) -> int:
        """Such spans."""
        with self._lock:
            return self._closed

    def delivered(self, accepted: int, refused: int, latency_ms: float) -> None:
        """A request was answered with success; the receiver may have refused some of its spans."""
        with self._lock:
            self._exported += accepted
            self._refused += refused
            self._counts[bisect_left(LATENCY_EDGES_MS, latency_ms)] += 1
            self._sum_ms += latency_ms

    def refused(self, spans: int) -> None:
        """The receiver refused a request for good."""
        with self._lock:
            self._refused += spans
            self._failures += 1

    def failed(self) -> None:
        """A request was not answered, or asked to come again."""
        with self._lock:
            self._failures += 1

    # ---- TraceStatistics ----

    def spans_by_operation(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._operations)

    def export_latency_ms(self) -> HistogramSnapshot:
        with self._lock:
            return HistogramSnapshot(LATENCY_EDGES_MS, tuple(self._counts), self._sum_ms)

    def dropped(self) -> int:
        return sum(self.dropped_by_cause().values())

    def dropped_by_cause(self) -> Mapping[str, int]:
        """queue_full: in memory; spool_full: on disk; refused: by the receiver; else: the ring."""
        with self._lock:
            return {
                "queue_full": self._inbox.dropped,
                "spool_full": self._spool.dropped,
                "refused": self._refused,
                "ring_overwritten": self._lost_in_ring,
            }

    def queued(self) -> int:
        return len(self._inbox) + self._spool.pending()

    def export_failures(self) -> int:
        with self._lock:
            return self._failures

    def exported(self) -> int:
        """Spans that a receiver has accepted."""
        with self._lock:
            return self._exported
