"""Why a definition cannot be run."""

from __future__ import annotations

from shared.core import MxrcError


class ProgramError(MxrcError):
    """A definition cannot be run as asked.

    step: names of the step and of the blocks around it joined by "/", "" for the task itself.
    field: the field in it, "" for the step as a whole. reason: the message without the places.
    """

    def __init__(self, task: str, step: str, field: str, message: str) -> None:
        self.task, self.step, self.field, self.reason = task, step, field, message
        where = (
            f"task {task}" + (f", step {step}" if step else "") + (f", {field}" if field else "")
        )
        super().__init__(f"{where}: {message}")
