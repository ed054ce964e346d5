"""Outcomes of other threads, awaited in a loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nonrt_process.arrivals import arrival
from nonrt_process.outcome import Outcome


def test_all_that_end_arrive_whoever_ends_them() -> None:
    """Four threads end a thousand futures each while the loop takes them: none is left waiting."""
    futures: list[Outcome[int]] = [Outcome() for _ in range(4000)]

    def end(first: int) -> None:
        for number in range(first, len(futures), 4):
            futures[number].set_result(number)

    async def main() -> list[int]:
        waiting = [asyncio.ensure_future(arrival(one)) for one in futures]
        await asyncio.sleep(0)
        threads = [threading.Thread(target=end, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        found = await asyncio.wait_for(asyncio.gather(*waiting), 60)
        for thread in threads:
            thread.join()
        return found

    assert asyncio.run(main()) == list(range(4000))


def test_what_ends_together_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        wakes = 0
        wake = loop.call_soon_threadsafe

        def count(*arguments: object) -> asyncio.Handle:
            nonlocal wakes
            wakes += 1
            return wake(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "call_soon_threadsafe", count)
        futures: list[Outcome[None]] = [Outcome() for _ in range(32)]
        waiting = [asyncio.ensure_future(arrival(one)) for one in futures]
        await asyncio.sleep(0)
        for one in futures:
            one.set_result(None)
        await asyncio.gather(*waiting)
        return wakes

    assert asyncio.run(main()) == 1


def test_errors_arrive_and_a_task_that_was_cancelled_is_left_alone() -> None:
    async def main() -> None:
        failing: Outcome[None] = Outcome()
        given_up: Outcome[None] = Outcome()
        waiting = asyncio.ensure_future(arrival(failing))
        cancelled = asyncio.ensure_future(arrival(given_up))
        await asyncio.sleep(0)
        cancelled.cancel()
        given_up.set_result(None)
        failing.set_exception(ValueError("full"))
        with pytest.raises(ValueError, match="full"):
            await waiting
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        ended: Outcome[int] = Outcome()
        ended.set_result(7)
        assert await arrival(ended) == 7

    asyncio.run(main())
