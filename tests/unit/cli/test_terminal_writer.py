"""A terminal that takes nothing holds nobody up."""

from __future__ import annotations

import threading

from shared.cli.terminal_writer import TerminalWriter


def test_what_is_put_is_written_in_order() -> None:
    written: list[int] = []
    writer = TerminalWriter(written.append)
    writer.start()
    for number in range(100):
        writer.put(lambda number=number: written.append(number))  # type: ignore[misc]
    assert writer.close(30)
    assert written == list(range(100))


def test_a_stopped_terminal_costs_lines_that_are_counted() -> None:
    going_on, began = threading.Event(), threading.Event()
    written: list[str] = []

    def stopped() -> None:
        began.set()
        going_on.wait(30)
        written.append("first")

    writer = TerminalWriter(lambda count: written.append(f"{count} dropped"), max_waiting=3)
    writer.start()
    writer.put(stopped)
    assert began.wait(30)
    for number in range(10):
        writer.put(lambda number=number: written.append(str(number)))  # type: ignore[misc]
    assert not writer.idle
    assert not writer.close(0.01)
    going_on.set()
    assert writer.close(30)
    assert written == ["first", "7 dropped", "0", "1", "2"]


def test_a_terminal_that_is_gone_is_no_error() -> None:
    written: list[str] = []

    def gone() -> None:
        raise BrokenPipeError

    writer = TerminalWriter(lambda count: written.append(str(count)))
    writer.start()
    writer.put(gone)
    writer.put(lambda: written.append("next"))
    assert writer.close(30)
    assert written == ["next"]
