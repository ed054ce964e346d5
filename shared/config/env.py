"""Environment variables that override fields: MXRC_<FILE STEM>__<FIELD>[__<SUBFIELD>]...

`MXRC_API__PORT=8081` sets `$.port` of api.json, `MXRC_ROBOT__AXES__0__HOME=0.5` an element of a
list. The value is JSON; what is not JSON is a string. Task definitions cannot be overridden.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.config.errors import ConfigError, Loc, Problem
from shared.config.json_file import parse_json

PREFIX = "MXRC_"
SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Override:
    """One variable: where its value goes, and the value both as text and as JSON."""

    variable: str
    stem: str
    loc: Loc
    text: str
    value: Any


def read_overrides(environ: Mapping[str, str], stems: Iterable[str]) -> list[Override]:
    """The overrides in `environ` for the files named by `stems`, in order of their names.

    Raises:
        ConfigError: a variable that has the form of an override but names no file.
    """
    known = set(stems)
    overrides, problems = [], []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or SEPARATOR not in variable:
            continue
        stem, *fields = variable.removeprefix(PREFIX).lower().split(SEPARATOR)
        if stem not in known or not all(fields):
            names = ", ".join(sorted(known))
            problems.append(
                Problem(
                    variable,
                    "",
                    "no such setting",
                    "must be MXRC_<FILE>__<FIELD> with one of the files " + names,
                    "unset it",
                )
            )
            continue
        loc = tuple(int(field) if field.isdecimal() else field for field in fields)
        text = environ[variable]
        overrides.append(Override(variable, stem, loc, text, _value(text)))
    if problems:
        raise ConfigError(problems)
    return overrides


def _value(text: str) -> Any:
    try:
        return parse_json(text.encode("utf-8", "surrogateescape"), "")
    except ConfigError:
        return text


def apply(document: Any, overrides: Iterable[Override], *, as_text: Iterable[Loc] = ()) -> Any:
    """A copy of `document` with the overrides in place; those at `as_text` as plain strings."""
    result = copy.deepcopy(document)
    texts = set(as_text)
    for override in overrides:
        value = override.text if override.loc in texts else override.value
        _set(result, override, value)
    return result


def _set(target: Any, override: Override, value: Any) -> None:
    *parents, last = override.loc
    for part in parents:
        if isinstance(target, dict):
            target = target.setdefault(str(part), {})
        elif isinstance(target, list) and isinstance(part, int) and part < len(target):
            target = target[part]
        else:
            raise _no_place(override)
    if isinstance(target, dict):
        target[str(last)] = value
    elif isinstance(target, list) and isinstance(last, int) and last < len(target):
        target[last] = value
    else:
        raise _no_place(override)


def _no_place(override: Override) -> ConfigError:
    return ConfigError(
        [
            Problem(
                override.variable,
                "",
                "a path that leads nowhere",
                "must name a field of an object or an element that the list has",
                f"see {override.stem}.json",
            )
        ]
    )


def source(overrides: Iterable[Override], loc: Loc, file: str) -> str:
    """The variable that the value at `loc` came from, else `file`."""
    for override in overrides:
        if loc[: len(override.loc)] == override.loc:
            return override.variable
    return file
