"""What another thread will say, once: a Future without a lock, a condition and queues of its own.

A start of a task makes three of them, and concurrent.futures.Future takes a tenth of the time of a
start for what nobody uses there: nearly always a callback is told, and no thread waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar, cast

T = TypeVar("T")

_ending = threading.Lock()
"""Of all outcomes: held for a few instructions, never while a callback runs."""
_log = logging.getLogger("nonrt.outcome")


class Outcome(Generic[T]):
    """The part of concurrent.futures.Future that ends once and tells callbacks; not cancelled."""

    __slots__ = ("_callbacks", "_done", "_error", "_value")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Outcome[T]], None]] = []
        self._done = False
        self._value: T | None = None
        self._error: BaseException | None = None

    def set_result(self, value: T) -> None:
        """End it. RuntimeError: it has ended."""
        self._end(value, None)

    def set_exception(self, error: BaseException) -> None:
        """End it with an error. RuntimeError: it has ended."""
        self._end(None, error)

    def done(self) -> bool:
        """Whether it has ended."""
        return self._done

    def add_done_callback(self, callback: Callable[[Outcome[T]], None]) -> None:
        """Called with this once it has ended, in the thread that ends it; at once if it has."""
        with _ending:
            if not self._done:
                self._callbacks.append(callback)
                return
        self._tell(callback)

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for its end. Raises what it ended with, or concurrent.futures.TimeoutError."""
        error = self.exception(timeout_s)
        if error is not None:
            raise error
        return cast("T", self._value)

    def exception(self, timeout_s: float | None = None) -> BaseException | None:
        """Wait for its end; what it ended with, None for a result."""
        if not self._done:
            waiting: Future[None] = Future()
            self.add_done_callback(lambda _: waiting.set_result(None))
            waiting.result(timeout_s)
        return self._error

    def _end(self, value: T | None, error: BaseException | None) -> None:
        with _ending:
            if self._done:
                raise RuntimeError("an outcome ends once")
            # Value and error first: who sees `_done` without the lock sees them.
            self._value, self._error = value, error
            self._done = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._tell(callback)

    def _tell(self, callback: Callable[[Outcome[T]], None]) -> None:
        try:
            callback(self)
        except Exception:  # noqa: BLE001 - the others are told all the same
            _log.exception("a callback of an outcome failed")
