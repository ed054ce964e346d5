"""The steps of a sequence: actions, and the blocks that arrange them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigModel, Fault, refuse, setting
from shared.config.errors import Loc
from shared.config.models.actions import (
    ControlLaw,
    EmitEvent,
    Failing,
    Hold,
    Log,
    MoveJoints,
    SafeStop,
    SetOutput,
    SetValue,
    UserAction,
    Wait,
    WaitFor,
)
from shared.config.models.conditions import Condition
from shared.config.models.names import Name
from shared.config.models.parameters import Substitutable

MAX_BRANCHES: Final = 4
MAX_ROUNDS: Final = 1_000_000_000
MAX_STEPS: Final = 62
"""A program has 63 operations (layout.h), the last of them ends it."""


class Parallel(Failing):
    """Branches side by side, on axes of their own."""

    type: Literal["parallel"] = setting(
        scope="live", meaning="Kind of step.", trouble="Unknown: refused."
    )
    branches: Annotated[tuple[Steps, ...], Field(min_length=2, max_length=MAX_BRANCHES)] = setting(
        scope="live",
        allowed=f"a list of 2 to {MAX_BRANCHES} branches, each a list of steps",
        meaning="What runs side by side; no parallel inside of a branch.",
        trouble="An axis in two branches is refused at load.",
    )
    wait: Literal["all", "first"] = setting(
        "all",
        scope="live",
        meaning="Done when all branches are, or with the first one: the others are cancelled.",
        trouble="first leaves the axes of the others wherever they have come to a stop.",
    )


class Repeat(ConfigModel):
    """Rounds of the same steps."""

    name: Name = setting(
        scope="live",
        meaning="Name of the step in errors and listings.",
        trouble="Two steps of one name are refused.",
    )
    type: Literal["repeat"] = setting(
        scope="live", meaning="Kind of step.", trouble="Unknown: refused."
    )
    count: Annotated[int, Field(ge=1, le=MAX_ROUNDS), Substitutable()] | None = setting(
        None,
        scope="live",
        meaning="Rounds; with while the most that there are.",
        trouble="Neither count nor while: refused.",
    )
    while_: Condition | None = setting(
        None,
        alias="while",
        scope="live",
        meaning="Looked at before each round: false ends it.",
        trouble="Without count the round has to take time, else it is refused.",
    )
    actions: Steps = setting(
        scope="live",
        allowed=f"a list of 1 to {MAX_STEPS} steps",
        meaning="The steps of a round.",
        trouble="An empty list is refused.",
    )

    @model_validator(mode="after")
    def _rules(self) -> Repeat:
        if self.count is None and self.while_ is None:
            refuse(Fault(("count",), "must be given when while is not"))
        return self


class If(ConfigModel):
    """One way or the other."""

    name: Name = setting(
        scope="live",
        meaning="Name of the step in errors and listings.",
        trouble="Two steps of one name are refused.",
    )
    type: Literal["if"] = setting(
        scope="live", meaning="Kind of step.", trouble="Unknown: refused."
    )
    condition: Condition = setting(
        scope="live", meaning="What decides.", trouble="Has to be there."
    )
    then: Steps = setting(
        scope="live",
        allowed=f"a list of 1 to {MAX_STEPS} steps",
        meaning="The steps when it holds.",
        trouble="An empty list is refused.",
    )
    else_: Steps | None = setting(
        None,
        alias="else",
        scope="live",
        allowed=f"null or a list of 1 to {MAX_STEPS} steps",
        meaning="The steps when it does not hold.",
        trouble="Left out: the task goes on behind the block.",
    )


Action = (
    MoveJoints
    | Wait
    | Hold
    | WaitFor
    | ControlLaw
    | UserAction
    | Log
    | EmitEvent
    | SetValue
    | SetOutput
    | SafeStop
)
Block = Parallel | Repeat | If
Step = Annotated[Action | Block, Field(discriminator="type")]
Steps = Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]


def bodies(step: Action | Block) -> Iterator[tuple[Loc, tuple[Action | Block, ...]]]:
    """The lists of steps in a step, with their places in it; none in an action."""
    if isinstance(step, Parallel):
        for index, branch in enumerate(step.branches):
            yield ("branches", index), branch
    elif isinstance(step, Repeat):
        yield ("actions",), step.actions
    elif isinstance(step, If):
        yield ("then",), step.then
        if step.else_ is not None:
            yield ("else",), step.else_


def walk(steps: tuple[Action | Block, ...], place: Loc) -> Iterator[tuple[Loc, Action | Block]]:
    """Each step, blocks before what is in them, with its place; `place`: that of the list."""
    for index, step in enumerate(steps):
        yield (*place, index), step
        for inner, body in bodies(step):
            yield from walk(body, (*place, index, *inner))
