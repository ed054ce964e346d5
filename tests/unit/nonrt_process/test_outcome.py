"""What another thread says once."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time

import pytest

from nonrt_process.outcome import Outcome


def test_who_asks_before_and_who_asks_after_are_told_once() -> None:
    outcome: Outcome[int] = Outcome()
    told: list[int] = []
    outcome.add_done_callback(lambda one: told.append(one.result()))
    assert not outcome.done()
    outcome.set_result(7)
    outcome.add_done_callback(lambda one: told.append(one.result() + 1))
    assert told == [7, 8]
    assert outcome.done()
    assert outcome.exception() is None


def test_an_error_is_raised_and_handed_over() -> None:
    outcome: Outcome[int] = Outcome()
    outcome.set_exception(ValueError("full"))
    assert isinstance(outcome.exception(), ValueError)
    with pytest.raises(ValueError, match="full"):
        outcome.result()


def test_it_ends_once() -> None:
    outcome: Outcome[int] = Outcome()
    outcome.set_result(1)
    with pytest.raises(RuntimeError):
        outcome.set_exception(ValueError("late"))
    assert outcome.result() == 1


def test_a_thread_may_wait(caplog: pytest.LogCaptureFixture) -> None:
    outcome: Outcome[int] = Outcome()
    with pytest.raises(concurrent.futures.TimeoutError):
        outcome.result(0.01)

    def end() -> None:
        time.sleep(0.05)
        outcome.set_result(3)

    thread = threading.Thread(target=end)
    thread.start()
    assert outcome.result(20) == 3
    thread.join()
    assert not caplog.records


def test_a_callback_that_fails_is_said_and_holds_nobody_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcome: Outcome[None] = Outcome()
    told: list[bool] = []

    def fail(_: Outcome[None]) -> None:
        raise ValueError("broken")

    outcome.add_done_callback(fail)
    outcome.add_done_callback(lambda one: told.append(one.done()))
    with caplog.at_level(logging.ERROR):
        outcome.set_result(None)
    assert told == [True]
    assert "callback" in caplog.text


def test_callbacks_that_come_while_it_ends_are_told_once() -> None:
    """Each of 2,000 outcomes is ended by one thread while another one asks."""
    outcomes: list[Outcome[int]] = [Outcome() for _ in range(2000)]
    told: list[int] = []
    both = threading.Barrier(2)

    def end() -> None:
        both.wait(20)
        for number, one in enumerate(outcomes):
            one.set_result(number)

    thread = threading.Thread(target=end)
    thread.start()
    both.wait(20)
    for one in outcomes:
        one.add_done_callback(lambda ended: told.append(ended.result()))
    thread.join()
    assert sorted(told) == list(range(2000))
