"""Which step of a task a place in its document belongs to."""

from __future__ import annotations

from typing import Any

from shared.config.errors import Loc, json_path


def step_and_field(document: Any, loc: Loc) -> tuple[str, str]:
    """Step at `loc`, by the names on the way joined by "/", and the field in it.

    ("", field) outside of any step. A parameter of an action is named without `parameters`.
    """
    names: list[str] = []
    rest = 0
    value = document
    for position, part in enumerate(loc):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(part, int) and isinstance(value, dict) and "type" in value:
            names.append(str(value.get("name", f"#{part}"))[:60])
            rest = position + 1
    field = loc[rest:]
    if names and field[:1] == ("parameters",):
        field = field[1:]
    return "/".join(names), json_path(field).removeprefix("$").removeprefix(".")
