"""The thread that sends waiting executions to RT as it has room for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from nonrt_process.context import Context
from nonrt_process.interfaces import CommandPort, QueueFull, RtAbsent
from nonrt_process.quiet import Quiet
from nonrt_process.tasks import definitions
from nonrt_process.tasks.book import Book
from nonrt_process.tasks.execution import Execution, Transition
from nonrt_process.tasks.journal import Journal
from shared.core import MxrcError
from shared.enums import RtState
from shared.sqlite_store import StoreError

ADMITTING: Final = frozenset({RtState.READY, RtState.RUNNING, RtState.PAUSED})
IDLE_S: Final = 0.1
PAUSE_S: Final = 0.02


class Dispatcher:
    """Sends one execution after the other.

    settle: makes a change of status durable and enters it in the book.
    sending: held while a command is on its way, so that its answer is not judged before its number
        is known.
    """

    def __init__(
        self,
        context: Context,
        book: Book,
        journal: Journal,
        settle: Callable[[list[Transition]], None],
        log: logging.Logger,
    ) -> None:
        self._context = context
        self._book = book
        self._journal = journal
        self._settle = settle
        self._log = log
        self._quiet = Quiet(log, context.clock)
        self.sending: Final = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="task-dispatch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it; what waits stays in the journal."""
        self._ending.set()
        self._book.wake()
        if self._thread.ident is not None:
            self._thread.join(3.0)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                sent = self.turn()
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever goes wrong
                self._quiet.say(logging.ERROR, "turn", f"Sending a task failed: {error}", error)
                self._ending.wait(1.0)
                continue
            if not sent:
                self._book.wait(IDLE_S)

    def turn(self) -> bool:
        """Send one execution if there is one and RT takes it; False: nothing was sent."""
        segment = self._context.segment
        if segment is None or int(segment.rt_status.state) not in ADMITTING:
            return False
        port = self._context.require(CommandPort)
        if port.free() < 1:
            return False
        execution = self._book.pick(segment.generation)
        return execution is not None and self._send(port, execution)

    def _send(self, port: CommandPort, execution: Execution) -> bool:
        try:
            document = self._journal.document(execution.digest)
            if document is None:
                raise MxrcError("its definition is no longer in the journal")
            compile_program = definitions.compiler(
                self._context.config.current,
                document,
                execution.task_id,
                execution.mode,
                execution.parameters,
            )
            with self.sending:
                sent = port.send_task(
                    execution.execution_id, execution.task_id, compile_program, execution.trace
                )
                self._book.sent_as(execution, sent.generation, sent.number)
        except (RtAbsent, QueueFull, StoreError):
            self._book.put_back(execution.execution_id)
            self._ending.wait(PAUSE_S)
            return False
        except (MxrcError, ValueError) as error:
            # Accepted, but robot.json or datastore.json have changed since, or a table is full.
            self._log.error("Task %s cannot be run: %s", execution.task_id, error)
            now = self._context.clock.realtime_ns()
            self._settle([Transition(execution.execution_id, "FAILED", now, error=str(error))])
        return True
