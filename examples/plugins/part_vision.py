"""A plugin of the Non-RT process that answers events of tasks; see docs/events.md."""

from __future__ import annotations

from nonrt_process.context import Context
from nonrt_process.interfaces import BusEvent, EventBus
from nonrt_process.plugins import Plugin


class PartVision(Plugin):
    """Answers part.ready with part.judged: the sum of its numbers, as a camera would score it."""

    def __init__(self, context: Context) -> None:
        super().__init__("part_vision")
        self._context = context

    def start(self) -> None:
        """The services of the other parts are there."""
        self._log = self._context.log.getChild("part_vision")
        self._bus = self._context.require(EventBus)
        self._bus.subscribe("part_vision", "part.ready", self._look, source="rt")

    def _look(self, event: BusEvent) -> None:
        score = sum(event.values)
        self._log.info("Part of task %s scores %g", event.task_id, score)
        self._bus.send_to_rt("part.judged", score, cause=event)


def create(context: Context) -> Plugin:
    """Called once, when the process starts."""
    return PartVision(context)
