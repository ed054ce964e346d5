"""Parameters given at a start: checked, and put into the steps of the definition."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from shared.config.errors import Loc
from shared.config.models.parameters import REFERENCE, is_reference
from shared.config.models.tasks import TaskDefinition
from shared.config.step_path import step_and_field
from shared.config.validation import find_faults
from shared.program.errors import ProgramError

_MAX_SHOWN = 60


def with_parameters(
    definition: TaskDefinition, values: Mapping[str, Any], task_id: str
) -> TaskDefinition:
    """`definition` with `values` in place of the references to its parameters.

    Raises:
        ProgramError: an unknown parameter, a value of another type or beyond its limits, or one
            that a step does not allow.
    """
    declared = definition.declared
    for name, value in values.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            close = difflib.get_close_matches(name, declared, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ProgramError(
                task_id,
                "",
                f"parameters.{name:.40}",
                f"is unknown; the definition has: {known}{hint}",
            )
        if refusal := declared[name].refusal(value):
            raise ProgramError(
                task_id, "", f"parameters.{name}", f"found {shown(value)}: {refusal}"
            )
    if not values or not definition.has_references:
        return definition
    document = definition.document_with(values)
    try:
        return TaskDefinition.model_validate(document)
    except ValidationError:
        fault = find_faults(TaskDefinition, document)[0]
    step, field = step_and_field(document, fault.loc)
    raise ProgramError(
        task_id, step, field, f"{_found(document, fault.loc, values)}: {fault.allowed}"
    )


def found_at(definition: TaskDefinition, loc: Loc) -> str:
    """Words for the value at `loc` in a definition, and the parameter that it came from."""
    values = {name: one.default for name, one in definition.declared.items()}
    return _found(definition.model_dump(by_alias=True), loc, values)


def _found(document: Any, loc: Loc, values: Mapping[str, Any]) -> str:
    value: Any = document
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return "found nothing"
    if is_reference(value) and value[REFERENCE] in values:
        name = value[REFERENCE]
        return f"found {shown(values[name])} from the parameter {name}"
    return f"found {shown(value)}"


def shown(value: object) -> str:
    """A value as JSON text, not longer than fits into a message."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
