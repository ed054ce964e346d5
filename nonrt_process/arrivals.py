"""Waiting in the event loop for what another thread finishes, many at a time.

asyncio's own way wakes the loop for each of them, with a write to a pipe, in the thread that ends
it. What ends together, as the rows of one commit do, wakes the loop here once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from nonrt_process.outcome import Outcome

T = TypeVar("T")


class _Arrivals:
    """Of one loop. `put` is called by any thread, all else in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended: deque[tuple[Outcome[Any], asyncio.Future[Any]]] = deque()
        self._woken = False

    def put(self, ended: Outcome[Any], waiting: asyncio.Future[Any]) -> None:
        # Appended before the flag is read, as `_take` clears it before it looks: nothing is left.
        self._ended.append((ended, waiting))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._woken = False
        while self._ended:
            ended, waiting = self._ended.popleft()
            if waiting.done():  # cancelled
                continue
            error = ended.exception()
            if error is None:
                waiting.set_result(ended.result())
            else:
                waiting.set_exception(error)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Arrivals] = WeakKeyDictionary()


async def arrival(outcome: Outcome[T]) -> T:
    """What another thread ends; it is not cancelled with the task that waits."""
    if outcome.done():
        return outcome.result()
    loop = asyncio.get_running_loop()
    arrivals = _of_loop.get(loop)
    if arrivals is None:
        arrivals = _of_loop[loop] = _Arrivals(loop)
    waiting: asyncio.Future[T] = loop.create_future()
    put = arrivals.put
    outcome.add_done_callback(lambda ended: put(ended, waiting))
    return await waiting
