"""Delivers requests of the spool to an OTLP receiver, with retries and back-off.

After the OTLP specification (https://opentelemetry.io/docs/specs/otlp/#otlphttp): 429, 502, 503,
504 and connection errors are tried again, with the server's Retry-After if it gives one; any other
failure is final for that request.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from nonrt_process.otlp_http import RETRYABLE, Answer, Backoff, Transport, TransportError
from nonrt_process.traces.governor import CpuCost
from nonrt_process.traces.spool import Spool, Taken
from nonrt_process.traces.statistics import Statistics
from shared.clock import Clock

MAX_SPANS: Final = 2048
DELAY_S: Final = 0.2
"""Time that spans wait for company: a batch costs hardly more than a single span."""
TIMEOUT_S: Final = 10.0
FLUSH_S: Final = 2.0
"""Time to deliver what is left when the process ends; the rest stays in the spool."""


class Exporter:
    """The thread that empties the spool into a receiver."""

    def __init__(
        self,
        spool: Spool,
        make_transport: Callable[[], Transport],
        statistics: Statistics,
        clock: Clock,
        log: logging.Logger,
        target: str,
        *,
        jitter: Callable[[], float] = random.random,
        cost: CpuCost | None = None,
    ) -> None:
        self._cost = cost or CpuCost()
        self._spool = spool
        self._make_transport = make_transport
        self._transport: Transport | None = None
        self._statistics = statistics
        self._clock = clock
        self._log = log
        self._target = target
        self._backoff = Backoff(jitter)
        self._problem = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-export", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Deliver what is there if the receiver answers at once; then end."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        taken: Taken | None = None
        while not self._ending.is_set():
            if taken is None:
                if not self._spool.wait(0.5):
                    continue
                if self._spool.pending() < MAX_SPANS:
                    self._ending.wait(DELAY_S)
                taken = self._spool.take(MAX_SPANS)
            if taken is not None:
                wait_s = self.deliver(taken)
                if wait_s:
                    self._ending.wait(wait_s)
                else:
                    taken = None
        until = self._clock.monotonic_ns() + int(FLUSH_S * 1e9)
        while self._clock.monotonic_ns() < until:
            taken = taken or self._spool.take(MAX_SPANS)
            if taken is None or self.deliver(taken, timeout_s=1.0):
                break
            taken = None

    def deliver(self, taken: Taken, timeout_s: float = TIMEOUT_S) -> float:
        """Send a request; returns the wait (s) before it is tried again, 0: it is done with."""
        with self._cost.measured():
            return self._deliver(taken, timeout_s)

    def _deliver(self, taken: Taken, timeout_s: float) -> float:
        if self._transport is None:
            try:
                self._transport = self._make_transport()
            except TransportError as error:
                self._statistics.failed()
                self._complain(f"{error}; spans wait")
                return self._backoff.wait_s(Answer(0), self._clock.realtime_ns())
        started = self._clock.monotonic_ns()
        answer = self._transport.send(taken.body, timeout_s)
        elapsed_ms = (self._clock.monotonic_ns() - started) / 1e6
        if 200 <= answer.status < 300:
            rejected = self._rejected(answer.body, taken.total)
            self._statistics.delivered(taken.total - rejected, rejected, elapsed_ms)
            self._spool.acknowledge(taken)
            self._worked()
            return 0.0
        reason = answer.error or f"HTTP status {answer.status}"
        if answer.status == 0 or answer.status in RETRYABLE:
            self._statistics.failed()
            self._complain(f"{reason}; spans wait and are sent again")
            return self._backoff.wait_s(answer, self._clock.realtime_ns())
        self._statistics.refused(taken.total)
        self._spool.acknowledge(taken)
        self._complain(f"{reason}: refused, {taken.total} spans given up")
        return 0.0

    def _rejected(self, body: bytes, sent: int) -> int:
        try:
            partial = ExportTraceServiceResponse.FromString(body).partial_success
        except DecodeError:
            return 0  # e.g. a receiver that answers in JSON: the status counts
        rejected = min(max(0, partial.rejected_spans), sent)
        if rejected or partial.error_message:
            self._log.warning(
                "%s rejected %d of %d spans: %s",
                self._target,
                rejected,
                sent,
                partial.error_message[:500],
            )
        return rejected

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._log.warning("Spans are not delivered to %s: %s", self._target, problem)

    def _worked(self) -> None:
        self._backoff.reset()
        if self._problem:
            self._problem = ""
            self._log.info("Spans are delivered to %s again", self._target)
