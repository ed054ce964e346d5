"""Blocks as operations: jumps, rounds and branches (rules: struct mxrc_op in layout.h).

Every operation leads to one behind it, but for the JUMP at the end of a round. A list of steps is
laid out in order; its last step leads to the exit that whoever lays it out gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from shared.config.axis_checks import driven_axes
from shared.config.models.actions import Failing, Recovery
from shared.config.models.blocks import Action, Block, If, Parallel, Repeat
from shared.config.models.robot import RobotConfig
from shared.config.models.tasks import TaskDefinition
from shared.core import lib
from shared.enums import Join, NameKind, OnFailure, OpKind
from shared.program.actions import Actions
from shared.program.builder import Builder, Label
from shared.program.conditions import encode
from shared.program.errors import ProgramError

MAX_REPEAT_DEPTH: Final = int(lib.MXRC_REPEAT_DEPTH)
_EXPECTED_ROUNDS: Final = 10.0
"""For the estimate of progress: rounds of a repeat with while."""

_ON_FAILURE: Final = {
    "fail": OnFailure.TASK,
    "skip": OnFailure.SKIP,
    "safe_mode": OnFailure.SAFE_MODE,
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where steps are laid out. path: names of the blocks around; depth: repeats around."""

    path: str
    hold_axes: int
    depth: int = 0
    in_branch: bool = False
    rounds: float = 1.0

    def step(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


@dataclass(slots=True)
class _Shared:
    """A recovery sequence that is laid out once, at the end. user: the first that leads to it."""

    entry: Label
    user: int


class Layout:
    """Lays out a definition's steps."""

    def __init__(
        self, definition: TaskDefinition, robot: RobotConfig, builder: Builder, actions: Actions
    ) -> None:
        self.definition = definition
        self.robot = robot
        self.builder = builder
        self.actions = actions
        self._shared: dict[str, _Shared] = {}

    def run(self) -> None:
        """The sequence, the recovery sequences that fail the task, the end."""
        steps = self.definition.sequence.actions
        everything = driven_axes(steps, self.robot, self.definition.recovery)
        # A task that only holds, holds the whole robot.
        place = _Place("", everything or (1 << len(self.robot.axes)) - 1)
        end = Label()
        self._steps(steps, place, end)
        for name, shared in self._shared.items():
            first = self.builder.count
            self.builder.bind(shared.entry)
            self._recovery_then_fail(name, replace(place, path=name))
            for index in range(first, self.builder.count):
                self.builder.weights[index] = 0.0
                self.builder.same_progress(index, shared.user)
        self.builder.bind(end)
        index, op = self.builder.emit(OpKind.END, "", 0)
        op.next = index
        self.builder.resolve()

    def _steps(self, steps: tuple[Action | Block, ...], place: _Place, exit_: Label) -> None:
        for step in steps[:-1]:
            behind = Label()
            self._step(step, place, behind)
            self.builder.bind(behind)
        self._step(steps[-1], place, exit_)

    def _step(self, step: Action | Block, place: _Place, behind: Label) -> None:
        if isinstance(step, If):
            self._if(step, place, behind)
        elif isinstance(step, Repeat):
            self._repeat(step, place, behind)
        elif isinstance(step, Parallel):
            self._parallel(step, place, behind)
        else:
            where = place.step(step.name)
            index = self.actions.emit(step, where, place.rounds, place.hold_axes)
            self.builder.link(index, "next", behind)
            self._failure(step, index, place, behind)

    def _emit(self, kind: OpKind, step: Block, place: _Place) -> tuple[int, Any]:
        name = self.actions.intern(NameKind.ACTION, step.name)
        return self.builder.emit(kind, place.step(step.name), name)

    def _if(self, step: If, place: _Place, behind: Label) -> None:
        index, op = self._emit(OpKind.IF, step, place)
        encode(op.condition, step.condition, self.actions.keys, self.actions.topic)
        inside = replace(place, path=place.step(step.name))
        op.next = index + 1
        self._steps(step.then, inside, behind)
        if step.else_ is None:
            self.builder.link(index, "target", behind)
        else:
            op.target = self.builder.count
            self._steps(step.else_, inside, behind)

    def _repeat(self, step: Repeat, place: _Place, behind: Label) -> None:
        if place.depth == MAX_REPEAT_DEPTH:
            self._refuse(place.step(step.name), f"repeat nests at most {MAX_REPEAT_DEPTH} deep")
        index, op = self._emit(OpKind.REPEAT, step, place)
        op.key = place.depth
        op.count = step.count or 0
        op.next = index + 1
        self.builder.link(index, "target", behind)
        if step.while_ is not None:
            encode(op.condition, step.while_, self.actions.keys, self.actions.topic)
        rounds = float(step.count or _EXPECTED_ROUNDS)
        inside = replace(
            place,
            path=place.step(step.name),
            depth=place.depth + 1,
            rounds=place.rounds * min(rounds, 1e6),
        )
        round_end = Label()
        self._steps(step.actions, inside, round_end)
        self.builder.bind(round_end)
        self._emit(OpKind.JUMP, step, place)[1].next = index

    def _parallel(self, step: Parallel, place: _Place, behind: Label) -> None:
        index, op = self._emit(OpKind.PARALLEL, step, place)
        op.key = int(Join.ALL if step.wait == "all" else Join.FIRST)
        op.next = index + 1
        join = Label()
        self.builder.link(index, "target", join)
        for number, branch in enumerate(step.branches):
            op.branch[number] = self.builder.count
            axes = driven_axes(branch, self.robot, self.definition.recovery)
            inside = replace(
                place,
                path=place.step(step.name),
                hold_axes=axes,
                depth=0,
                in_branch=True,
                rounds=place.rounds / len(step.branches),
            )
            self._steps(branch, inside, join)
        self.builder.bind(join)
        joined, _ = self._emit(OpKind.JOIN, step, place)
        self.builder.link(joined, "next", behind)
        self._failure(step, index, place, behind)

    def _failure(self, step: Failing, index: int, place: _Place, behind: Label) -> None:
        op = self.builder.slot.op[index]
        op.timeout_ns = (step.timeout_ms or 0) * 1_000_000
        op.backoff_ns = step.backoff_ms * 1_000_000
        op.retries = step.retries
        chosen = step.on_failure
        if not isinstance(chosen, Recovery):
            op.on_failure = int(_ON_FAILURE[chosen])
            return
        op.on_failure = int(OnFailure.RECOVERY)
        if chosen.then == "fail" and not place.in_branch:
            shared = self._shared.setdefault(chosen.recovery, _Shared(Label(), index))
            self.builder.link(index, "recovery", shared.entry)
            return
        op.recovery = self.builder.count
        inside = replace(place, path=f"{place.step(step.name)}/{chosen.recovery}", rounds=0.0)
        if chosen.then == "fail":
            self._recovery_then_fail(chosen.recovery, inside)
        else:
            self._steps(self.definition.recovery[chosen.recovery], inside, behind)

    def _recovery_then_fail(self, name: str, place: _Place) -> None:
        done = Label()
        self._steps(self.definition.recovery[name], place, done)
        self.builder.bind(done)
        self.builder.emit(OpKind.FAIL, place.path, self.actions.intern(NameKind.ACTION, name))

    def _refuse(self, step: str, message: str) -> None:
        raise ProgramError(self.builder.task_id, step, "", message)
