"""Base classes of the configuration models and the way in which a field is declared.

A field carries its own documentation: `setting(...)` records what it does, what goes wrong, and
whether a change takes effect in a running process (`live`) or at the next start (`restart`). The
error messages, the JSON Schemas and docs/configuration.md are all made from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, NoReturn

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shared.config.errors import Loc

Scope = Literal["live", "restart"]

FAULT_ERROR_TYPE = "mxrc_fault"

_SCHEMA_NOTE = "Lets an editor find the JSON Schema of this file; mxrc itself does not read it."
_SCHEMA_TROUBLE = "Nothing: it may be left out."


class Fault(NamedTuple):
    """A broken rule: the place (relative to who reports it), what must hold, what to do."""

    loc: Loc
    allowed: str
    hint: str = ""


class ConfigModel(BaseModel):
    """An object of a configuration file: unknown keys and wrong types are errors, no coercion."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )


class ConfigFile(ConfigModel):
    """The top-level object of a configuration file."""

    schema_reference: str | None = Field(
        default=None,
        alias="$schema",
        max_length=1024,
        description=_SCHEMA_NOTE,
        json_schema_extra={"x-scope": "live", "x-trouble": _SCHEMA_TROUBLE},
    )


def setting(
    default: Any = ...,
    *,
    meaning: str,
    trouble: str,
    scope: Scope = "restart",
    effect: str = "",
    allowed: str = "",
    default_text: str = "",
    secret: bool = False,
    **constraints: Any,
) -> Any:
    """Declare a field of a `ConfigModel`.

    default: its default; left out, the field is required (or give `default_factory`).
    meaning, trouble: what it does, with its unit; what goes wrong with it and what to do.
    effect: words for when a change is in force, where the scope alone does not tell.
    allowed: words for what is allowed, where the type alone does not tell ("must be ...").
    default_text: words for a default that is computed.
    secret: the value is never printed, and a file that holds it must not be world readable.
    constraints: those of pydantic's Field (ge, le, pattern, max_length, default_factory ...).
    """
    extra: dict[str, Any] = {"x-scope": scope, "x-trouble": trouble}
    for key, value in (
        ("x-effect", effect),
        ("x-allowed", allowed),
        ("x-default", default_text),
        ("x-secret", secret),
    ):
        if value:
            extra[key] = value
    if "default_factory" not in constraints:
        constraints["default"] = default
    return Field(description=meaning, json_schema_extra=extra, **constraints)


def refuse(*faults: Fault) -> NoReturn:
    """Called by a model's validator: report faults whose places are relative to that model."""
    raise PydanticCustomError(FAULT_ERROR_TYPE, "{faults}", {"faults": list(faults)})


def field_note(extra: object, key: str) -> Any:
    """A note that `setting` left in a field's json_schema_extra, or None."""
    return extra.get(key) if isinstance(extra, Mapping) else None
