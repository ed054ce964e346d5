"""Operations under construction: a slot, and places in it that are known later."""

from __future__ import annotations

from typing import Any, Final

from shared.core import ffi, lib
from shared.enums import OpKind
from shared.program.errors import ProgramError

MAX_OPS: Final = int(lib.MXRC_PROGRAM_OPS)
PROGRESS_END: Final = 1000


class Label:
    """A place that operations lead to; `index` once it is bound."""

    __slots__ = ("index",)

    def __init__(self) -> None:
        self.index: int | None = None


class Builder:
    """Appends operations to a program slot.

    steps: of each operation the step that it belongs to. weights: its expected time in s, for the
    estimate of progress.
    """

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.slot: Any = ffi.new("struct mxrc_program_slot *")
        self.steps: list[str] = []
        self.weights: list[float] = []
        self._links: list[tuple[int, str, Label]] = []
        self._same_progress: dict[int, int] = {}

    @property
    def count(self) -> int:
        return len(self.steps)

    def emit(self, kind: OpKind, step: str, name: int, weight: float = 0.0) -> tuple[int, Any]:
        """Append an operation; returns its index and its struct.

        Raises:
            ProgramError: the program is full.
        """
        if self.count == MAX_OPS:
            raise ProgramError(
                self.task_id,
                step,
                "",
                f"does not fit: a task has at most {MAX_OPS} operations, and this step would need "
                "one more; use repeat for what comes again, or make two tasks of it",
            )
        index = self.count
        self.steps.append(step)
        self.weights.append(weight)
        op = self.slot.op[index]
        op.kind = int(kind)
        op.action_name = name
        return index, op

    def bind(self, label: Label) -> None:
        """`label` is the operation that comes next."""
        label.index = self.count

    def link(self, index: int, field: str, label: Label) -> None:
        """Field `next`, `target` or `recovery` of an operation leads to `label`."""
        self._links.append((index, field, label))

    def same_progress(self, index: int, other: int) -> None:
        """An operation out of the order of time: its progress is that of another one."""
        self._same_progress[index] = other

    def resolve(self) -> None:
        """Fill in what was linked, and the progress of each operation."""
        for index, field, label in self._links:
            setattr(self.slot.op[index], field, label.index)
        total = sum(self.weights) or 1.0
        passed = 0.0
        for index, weight in enumerate(self.weights):
            self.slot.op[index].progress = min(PROGRESS_END - 1, int(passed / total * PROGRESS_END))
            passed += weight
        for index, other in self._same_progress.items():
            self.slot.op[index].progress = self.slot.op[other].progress
        for index in range(self.count):
            if self.slot.op[index].kind == OpKind.END:
                self.slot.op[index].progress = PROGRESS_END

    @property
    def axes(self) -> int:
        """Bit mask of the axes of all operations."""
        mask = 0
        for index in range(self.count):
            mask |= int(self.slot.op[index].axes)
        return mask
