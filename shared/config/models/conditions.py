"""Conditions: what an `if`, a `while`, a wait_for and a trigger look at."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigModel, Fault, refuse, setting
from shared.config.models.datastore import MAX_VECTOR
from shared.config.models.names import Name
from shared.config.models.parameters import Substitutable

Comparison = Literal["==", "!=", "<", "<=", ">", ">="]
MAX_INTEGER = 10**15
Comparand = Annotated[
    bool
    | Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    | Annotated[float, Field(ge=-1e300, le=1e300)],
    Substitutable(),
]


class Condition(ConfigModel):
    """A comparison with a key of the data store, or with the value of the last event of a topic."""

    key: Name | None = setting(
        None,
        scope="live",
        meaning="Key of datastore.json: bool, int64, double or double[N]; this or event.",
        trouble="An unknown key is refused at load.",
    )
    event: Name | None = setting(
        None,
        scope="live",
        meaning="Topic on the event bus whose last event of this run counts; this or key.",
        trouble="Before the first event the condition is false.",
    )
    element: int = setting(
        0,
        scope="live",
        ge=0,
        lt=MAX_VECTOR,
        meaning="Element of a key of type double[N], from 0.",
        trouble="Beyond the key's elements it is refused at load.",
    )
    op: Comparison = setting(
        "==",
        scope="live",
        meaning="Comparison: key op value.",
        trouble="bool knows == and != only.",
    )
    value: Comparand | None = setting(
        None,
        scope="live",
        meaning="What to compare with, of the key's type; null with event: any event counts.",
        trouble="Another type is refused at load.",
    )

    @model_validator(mode="after")
    def _rules(self) -> Condition:
        if (self.key is None) == (self.event is None):
            field = "key" if self.key is None else "event"
            refuse(Fault((field,), "must be given if and only if the other one is not"))
        if self.key is not None and self.value is None:
            refuse(Fault(("value",), "must be given with key"))
        if self.event is not None:
            if self.value is None and self.op != "==":
                refuse(Fault(("value",), "must be given with op"))
            if self.element:
                refuse(Fault(("element",), "must be left out with event"))
        return self


class Trigger(ConfigModel):
    """A condition on a key of the data store that starts a run of a triggered task."""

    key: Name = setting(
        scope="live",
        meaning="Key of datastore.json: bool, int64, double or double[N].",
        trouble="An unknown key is refused at load.",
    )
    element: int = setting(
        0,
        scope="live",
        ge=0,
        lt=MAX_VECTOR,
        meaning="Element of a key of type double[N], from 0.",
        trouble="Beyond the key's elements it is refused at load.",
    )
    op: Comparison = setting(
        "==",
        scope="live",
        meaning="Comparison: key op value.",
        trouble="bool knows == and != only.",
    )
    value: bool | int | float = setting(
        scope="live",
        meaning="What to compare with, of the key's type.",
        trouble="Another type is refused at load.",
    )
    on: Literal["edge", "level"] = setting(
        "edge",
        scope="live",
        meaning="edge: when the condition becomes true; level: again while it is true.",
        trouble="level starts the task again as soon as it has ended.",
    )
    rearm_ms: int = setting(
        0,
        scope="live",
        ge=0,
        le=86_400_000,
        meaning="Least time in ms from the begin of a run to that of the next.",
        trouble="0 with a key that flickers: a run for each time.",
    )
