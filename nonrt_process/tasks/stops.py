"""A stop in order ends what was accepted: no machine moves by itself when it is started again.

RT cancels the tasks that it has when it is stopped. What waits here is cancelled with it, at once
where this process sees the stop, else when it meets a generation that began anew: one whose RT
process had neither a state block nor a checkpoint to go on from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from nonrt_process.tasks.book import Book
from nonrt_process.tasks.execution import Execution, Transition
from shared.clock import Clock
from shared.sqlite_store import StoreError

STOPPED: Final = (
    "STOPPED: the machine was stopped in order before this task had ended; start it again"
)
BEGAN_ANEW: Final = "STOPPED: RT began anew, without a state to go on from; start it again"


class Stops:
    """settle, request_cancel: make durable what their names say; raise StoreError."""

    def __init__(
        self,
        book: Book,
        settle: Callable[[list[Transition]], None],
        request_cancel: Callable[[int], object],
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._book = book
        self._settle = settle
        self._request_cancel = request_cancel
        self._clock = clock
        self._log = log

    def stopped(self) -> None:
        """RT is in SHUTDOWN, or has gone after it. May be called again."""
        self._end_waiting()
        self.abandon(one for one in self._book.active() if one.sent)

    def _end_waiting(self) -> None:
        waiting = [one for one in self._book.active() if not one.sent and not one.cancel_requested]
        changes = []
        taken: list[Execution] = []
        now = self._clock.realtime_ns()
        for one in waiting:
            execution, at_once = self._book.ask_cancel(one.task_id)
            if execution is not None and at_once:
                taken.append(execution)
                changes.append(Transition(execution.execution_id, "CANCELLED", now, error=STOPPED))
        if not changes:
            return
        try:
            self._settle(changes)
        except StoreError as error:
            for execution in taken:
                self._book.undo_cancel(execution)
            self._log.error("Waiting tasks cannot be cancelled at the stop yet: %s", error)
            return
        self._log.warning("Stopped in order: %d waiting tasks cancelled", len(changes))

    def abandon(self, sent: Iterable[Execution]) -> None:
        """What RT had when it was stopped: it tells the end of it, or never began it. Neither is
        begun again.
        """
        for execution in sent:
            if not execution.cancel_requested:
                try:
                    self._request_cancel(execution.execution_id)
                except StoreError as error:
                    self._log.error("Task %s is still open: %s", execution.task_id, error)
                    continue
                execution.cancel_requested = True

    def begun_anew(self, left_over: Iterable[Execution]) -> list[Transition]:
        """The ends of executions that another generation left over."""
        now = self._clock.realtime_ns()
        changes = [
            Transition(one.execution_id, "CANCELLED", now, error=BEGAN_ANEW) for one in left_over
        ]
        if changes:
            self._log.warning("RT began anew: %d accepted tasks are not begun again", len(changes))
        return changes
