"""Part `tasks`: journal, book, dispatcher, events, HTTP."""

from __future__ import annotations

from typing import Final

from nonrt_process.context import Context
from nonrt_process.interfaces import (
    HEALTHY,
    CommandPort,
    Finding,
    HealthStatus,
    ProcessName,
    RequestContexts,
    TaskService,
)
from nonrt_process.plugins import Plugin
from nonrt_process.tasks.added import AddedDefinitions
from nonrt_process.tasks.book import Book
from nonrt_process.tasks.definition_router import make_definition_router
from nonrt_process.tasks.dispatcher import Dispatcher
from nonrt_process.tasks.journal import Journal
from nonrt_process.tasks.router import make_router
from nonrt_process.tasks.service import Tasks
from nonrt_process.tasks.stops import Stops
from nonrt_process.tasks.task_events import TaskEvents
from shared.sqlite_store import StoreError
from shared.startup import Refused


def create(context: Context) -> Plugin:
    """Make the part."""
    return TasksPlugin(context)


class TasksPlugin(Plugin):
    """See the module."""

    def __init__(self, context: Context) -> None:
        config = context.config.current
        log = context.log.getChild("tasks")
        self._book = Book(config.api.task_queue_max)
        self._journal = Journal(
            config.paths.data_dir / f"tasks-{context.instance}.sqlite3",
            context.clock,
            self._book.forget,
        )
        self._added = AddedDefinitions(
            config.paths.data_dir / f"definitions-{context.instance}",
            lambda: context.config.current,
            self._running,
            log,
        )
        self._tasks = Tasks(context, self._book, self._journal, log, self._added)
        self._dispatcher = Dispatcher(context, self._book, self._journal, self._tasks.settle, log)
        events = TaskEvents(
            self._book,
            self._tasks.settle,
            self._dispatcher.sending,
            lambda: context.require(CommandPort),
            context.clock,
            log,
            Stops(self._book, self._tasks.settle, self._journal.request_cancel, context.clock, log),
        )
        super().__init__(
            "tasks",
            consumers=[events],
            routers=[make_router(self._tasks), make_definition_router(self._added)],
            health_checks=[_JournalCheck(self._journal)],
        )
        context.provide(TaskService, self._tasks)
        context.provide(RequestContexts, self._tasks)

    def _running(self, key: str) -> list[str]:
        return [one.task_id for one in self._book.active() if one.definition == key]

    def start(self) -> None:
        """Open the journal and go on with what it holds."""
        try:
            self._journal.store.open()
            self._book.load(self._journal.active(), self._journal.last_id(), self._journal.counts())
        except StoreError as error:
            raise Refused(f"task journal {error}") from error
        self._added.load()
        self._dispatcher.start()

    def stop(self) -> None:
        """What waits stays in the journal."""
        self._dispatcher.stop()
        self._journal.store.close()


class _JournalCheck:
    """HealthCheck: can tasks be accepted, was the journal whole?"""

    name: Final = "task_journal"
    process: Final[ProcessName] = "non_rt_process"

    def __init__(self, journal: Journal) -> None:
        self._store = journal.store

    def check(self, now_ns: int) -> Finding:
        if self._store.last_error is not None:
            return Finding(
                HealthStatus.DEGRADED,
                f"tasks cannot be accepted: {self._store.path}: {self._store.last_error}",
            )
        if self._store.rebuilt:
            return Finding(
                HealthStatus.DEGRADED,
                f"task journal {self._store.path} was {self._store.rebuilt[-1]}; compare what runs "
                "with what should, then restart mxrc-nonrt",
            )
        return HEALTHY
