"""Filters on rows: FIELD OPERATOR VALUE, e.g. jitter_us>50, flags~MISS, level>=warn."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from shared.core import MxrcError
from shared.enums import Level

Predicate = Callable[[Any], bool]

_PATTERN: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(!=|>=|<=|!~|=|>|<|~)\s*(.*?)\s*", re.DOTALL)
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_LEVELS: Final = {level.name.lower(): int(level) for level in Level}


class FilterRefused(MxrcError):
    """The filter is not one; the message says what is possible."""

    status = 2


def parse_filter(text: str, fields: Iterable[str]) -> Predicate:
    """The predicate of a filter on rows that have `fields`.

    ~ and !~ search a regular expression. Levels are ordered by severity, numbers as numbers; a
    field that is null matches nothing but !=.

    Raises:
        FilterRefused: no such field, no such operator, no number where one is needed.
    """
    known = list(fields)
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise FilterRefused(
            f"--filter {text!r}: FIELD OPERATOR VALUE is needed, the operator one of "
            "= != > >= < <= ~ !~, e.g. jitter_us>50"
        )
    name, sign, wanted = match.groups()
    if name not in known:
        raise FilterRefused(f"--filter {text!r}: no field {name!r}; there are {', '.join(known)}")
    if sign in ("~", "!~"):
        return _search(text, name, wanted, sign == "!~")
    return _compare(text, name, sign, wanted)


def _search(text: str, name: str, wanted: str, negate: bool) -> Predicate:
    try:
        pattern = re.compile(wanted, re.IGNORECASE)
    except re.error as error:
        raise FilterRefused(f"--filter {text!r}: not a regular expression: {error}") from None
    return lambda row: (pattern.search(str(getattr(row, name))) is None) == negate


def _compare(text: str, name: str, sign: str, wanted: str) -> Predicate:
    compare = _ORDER[sign]
    if name == "level":
        if wanted.lower() not in _LEVELS:
            raise FilterRefused(f"--filter {text!r}: levels are {', '.join(_LEVELS)}")
        level = _LEVELS[wanted.lower()]
        return lambda row: compare(_LEVELS.get(row.level, 0), level)
    try:
        number: float | None = float(wanted)
    except ValueError:
        number = None

    def predicate(row: Any) -> bool:
        value = getattr(row, name)
        if value is None:
            return sign == "!="
        if isinstance(value, (int, float)):
            if number is None:
                raise FilterRefused(f"--filter {text!r}: {name} is a number, {wanted!r} is none")
            # Whole numbers are compared as such: an execution id does not fit into a double.
            whole = isinstance(value, int) and wanted.lstrip("+-").isdigit()
            return compare(value, int(wanted) if whole else number)
        if isinstance(value, tuple):
            raise FilterRefused(f"--filter {text!r}: {name} is a list")
        return compare(str(value), wanted)

    return predicate
