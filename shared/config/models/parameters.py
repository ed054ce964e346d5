"""Parameters of a task: declared in its definition, given at a start, put into its steps.

Inside the `parameters` of an action, in a condition and as a count, `{"$param": "height"}` stands
for the value of the parameter `height`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from shared.config.base import ConfigModel, Fault, refuse, setting
from shared.config.errors import Loc

MAX_TEXT: Final = 255
MAX_NUMBER: Final = 1e15
"""Whole numbers up to here are exact as doubles, as which they travel."""
REFERENCE: Final = "$param"
REFERENCE_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "title": "ParameterReference",
    "description": "The value of a parameter of the task.",
    "properties": {REFERENCE: {"type": "string"}},
    "required": [REFERENCE],
    "additionalProperties": False,
    "x-allowed": f'{{"{REFERENCE}": name of a parameter}}',
}

_PLACES: Final = frozenset({"parameters", "condition", "while", "count"})
"""Keys of a step under which a reference may stand."""


class Substitutable:
    """Annotation of a value that a reference may stand for: says so in the JSON Schema."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(core_schema), dict(REFERENCE_SCHEMA)]}


class Parameter(ConfigModel):
    """A value that a start may give."""

    type: Literal["bool", "int64", "double", "string"] = setting(
        scope="live",
        meaning="Type of its values.",
        trouble="A value of another type is refused: at load, or with 422 at a start.",
    )
    unit: str = setting(
        "",
        scope="live",
        max_length=15,
        meaning="Unit for people, such as rad or mm; converts nothing.",
        trouble="Nothing.",
    )
    default: bool | int | float | str = setting(
        scope="live",
        meaning="Value of a start that gives none; the whole task is checked with it at load.",
        trouble="It has to be of `type` and within min and max.",
    )
    min: int | float | None = setting(
        None,
        scope="live",
        meaning="Lowest value allowed; numbers only.",
        trouble="A start with a lower value is refused with 422.",
    )
    max: int | float | None = setting(
        None,
        scope="live",
        meaning="Highest value allowed; numbers only.",
        trouble="A start with a higher value is refused with 422.",
    )
    description: str = setting(
        "", scope="live", max_length=1000, meaning="Text for people.", trouble="Nothing."
    )

    def refusal(self, value: object) -> str | None:
        """Why `value` may not be given ("must be ..."), or None if it may."""
        if self.type == "bool":
            return None if isinstance(value, bool) else "must be true or false"
        if self.type == "string":
            if isinstance(value, str) and len(value) <= MAX_TEXT:
                return None
            return f"must be a string of at most {MAX_TEXT} characters"
        whole = self.type == "int64"
        wanted = "an integer" if whole else "a number"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return f"must be {wanted}"
        low = -math.inf if self.min is None else self.min
        high = math.inf if self.max is None else self.max
        # A comparison with NaN is false, so that NaN is refused too.
        if low <= value <= high and abs(value) <= MAX_NUMBER:
            return None
        if self.min is None and self.max is None:
            return f"must be {wanted} of at most {MAX_NUMBER:g}"
        limits = [f"at least {self.min:g}"] if self.min is not None else []
        limits += [f"at most {self.max:g}"] if self.max is not None else []
        unit = f" {self.unit}" if self.unit else ""
        return f"must be {wanted} of {' and '.join(limits)}{unit}"

    @model_validator(mode="after")
    def _rules(self) -> Parameter:
        faults = [
            Fault((bound,), f"must be left out with type {self.type}")
            for bound in ("min", "max")
            if self.type in ("bool", "string") and getattr(self, bound) is not None
        ]
        if not faults and self.min is not None and self.max is not None and self.min > self.max:
            faults.append(Fault(("min",), f"must not be above max ({self.max:g})"))
        if not faults and (reason := self.refusal(self.default)):
            faults.append(Fault(("default",), reason))
        if faults:
            refuse(*faults)
        return self


def parameter_of(value: Any) -> Parameter:
    """A declaration in its short form, `name: default value`, in its long one."""
    if isinstance(value, Parameter):
        return value
    kinds: dict[type, Any] = {bool: "bool", str: "string"}
    return Parameter(type=kinds.get(type(value), "double"), default=value)


def references(value: Any, loc: Loc = (), *, allowed: bool = False) -> Iterator[tuple[Loc, Any]]:
    """Place and name of each reference in a part of a document, where one may stand."""
    if is_reference(value):
        if allowed:
            yield loc, value[REFERENCE]
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(item, (*loc, key), allowed=allowed or key in _PLACES)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from references(item, (*loc, index), allowed=allowed)


def substituted(value: Any, values: Mapping[str, Any], *, allowed: bool = False) -> Any:
    """A part of a document with the values in place of references; lists become tuples.

    References to names that `values` does not have stay.
    """
    if is_reference(value):
        return values.get(value[REFERENCE], value) if allowed else value
    if isinstance(value, Mapping):
        return {
            key: substituted(item, values, allowed=allowed or key in _PLACES)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return tuple(substituted(item, values, allowed=allowed) for item in value)
    return value


def is_reference(value: Any) -> bool:
    """Whether a value of a document is a reference."""
    return isinstance(value, Mapping) and len(value) == 1 and isinstance(value.get(REFERENCE), str)
