"""Validating one document against its model, and saying what is wrong in our words."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.config.allowed import Node, describe, describe_names, find_node
from shared.config.base import FAULT_ERROR_TYPE, ConfigFile, Fault
from shared.config.errors import ConfigError, Loc, Problem, json_path
from shared.config.step_path import step_and_field

Model = TypeVar("Model", bound=ConfigFile)
SourceOf = Callable[[Loc], str]
"""Names the file, or the environment variable, that the value at a place came from."""

_MAX_VALUE_CHARACTERS = 60
_NOTHING = object()


@cache
def schema_of(model: type[ConfigFile]) -> Node:
    """The JSON Schema of a model; made once, as that takes longer than all the rest."""
    return model.model_json_schema()


def validate(model: type[Model], document: Any, source_of: SourceOf) -> Model:
    """`document` as an instance of `model`.

    Raises:
        ConfigError: one problem for each place that is wrong, in the order of the places.
    """
    try:
        return _parse(model, document)
    except ValidationError as error:
        schema = schema_of(model)
        faults = _faults(error, document, schema)
    raise ConfigError(problems_at(faults, document, source_of, schema))


def find_faults(model: type[ConfigFile], document: Any) -> list[Fault]:
    """What is wrong with `document`, with places from its root; empty when it is right."""
    try:
        _parse(model, document)
    except ValidationError as error:
        return _faults(error, document, schema_of(model))
    return []


def _parse(model: type[Model], document: Any) -> Model:
    # As JSON text: only there pydantic's strict mode takes an array for a tuple.
    return model.model_validate_json(json.dumps(document))


def problems_at(
    faults: Iterable[Fault], document: Any, source_of: SourceOf, schema: Node
) -> list[Problem]:
    """Problems for faults whose places are relative to the root of `document`."""
    return [
        Problem(
            source_of(fault.loc),
            json_path(fault.loc),
            _shown(document, fault.loc, schema),
            fault.allowed,
            fault.hint,
            step_and_field(document, fault.loc)[0],
        )
        for fault in faults
    ]


def _faults(error: ValidationError, document: Any, schema: Node) -> list[Fault]:
    by_place: dict[Loc, Fault] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "default_factory_not_called":
            continue  # The field that its default depends on is wrong, and reported.
        loc = _place(detail["loc"], document, absent=detail["type"] == "missing")
        for fault in _translate(detail, loc, document, schema):
            by_place.setdefault(fault.loc, fault)
    # A union reports each alternative: the one that got furthest is the one that was meant.
    return [
        fault
        for loc, fault in by_place.items()
        if not any(len(other) > len(loc) and other[: len(loc)] == loc for other in by_place)
    ]


def _place(loc: tuple[str | int, ...], document: Any, *, absent: bool) -> Loc:
    """pydantic's loc without the names of union alternatives that it puts in between.

    absent: the last part names a key that the document does not have.
    """
    place: list[str | int] = []
    value = document
    for position, part in enumerate(loc):
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif not (absent and position == len(loc) - 1):
            continue
        place.append(part)
    return tuple(place)


def _translate(detail: Any, loc: Loc, document: Any, schema: Node) -> list[Fault]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == FAULT_ERROR_TYPE:
        return [fault._replace(loc=loc + fault.loc) for fault in context["faults"]]
    if kind == "extra_forbidden":
        return [_unknown_key(loc, document, schema)]
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tags = find_node(schema, loc, document).get("discriminator", {}).get("mapping", {})
        return [
            Fault((*loc, "type"), "must be one of " + ", ".join(json.dumps(tag) for tag in tags))
        ]
    if detail["loc"] and detail["loc"][-1] == "[key]":
        names = describe_names(find_node(schema, loc[:-1], document))
        return [Fault(loc, f"is under a key that must be {names}")]
    node = find_node(schema, loc, document)
    return [Fault(loc, f"must be {describe(node, schema)}", _hint(node))]


def _unknown_key(loc: Loc, document: Any, schema: Node) -> Fault:
    parent = find_node(schema, loc[:-1], document)
    known = [name for name in parent.get("properties", {}) if not name.startswith("$")]
    close = difflib.get_close_matches(str(loc[-1]), known, 1)
    return Fault(
        loc,
        "is not a known key; known here: " + (", ".join(known) or "none"),
        f"did you mean {close[0]}?" if close else "remove it",
    )


def _hint(node: Node) -> str:
    return str(node.get("description", "")).rstrip(".")


def _shown(document: Any, loc: Loc, schema: Node) -> str:
    value = document
    for position, part in enumerate(loc):
        if _is_secret(schema, loc[:position], part, document):
            return "a value that is not shown (it is, or may be, a secret)"
        if isinstance(value, dict):
            value = value.get(str(part), _NOTHING)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            value = _NOTHING
        if value is _NOTHING:
            return "nothing"
    text = json.dumps(value, ensure_ascii=True)
    if len(text) > _MAX_VALUE_CHARACTERS:
        text = text[: _MAX_VALUE_CHARACTERS - 3] + "..."
    return text


def _is_secret(schema: Node, parent: Loc, part: str | int, document: Any) -> bool:
    properties = find_node(schema, parent, document).get("properties", {})
    if part in properties:
        return bool(properties[part].get("x-secret"))
    # An unknown key beside a secret may be the secret's, misspelt.
    return any(node.get("x-secret") for node in properties.values())
