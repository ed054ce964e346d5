"""events.def in Python: the log templates of the RT process, and text from their arguments.

Needs no numpy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

from shared.core import ffi, lib, to_text
from shared.enums import Level, Result, Role, RtEvent, RtState, SafeCause

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

_ENUMERATIONS: Final[dict[str, type[IntEnum]]] = {
    "state": RtState,
    "event": RtEvent,
    "cause": SafeCause,
    "result": Result,
    "role": Role,
}
_POLICIES: Final = {
    0: "SCHED_OTHER",
    1: "SCHED_FIFO",
    2: "SCHED_RR",
    3: "SCHED_BATCH",
    5: "SCHED_IDLE",
    6: "SCHED_DEADLINE",
}

NameResolver = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a template: its name and its unit, which may be an enumeration's name."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class EventDef:
    """A log template. arguments: in the order of the record's args."""

    id: int
    name: str
    logger: str
    logger_id: int
    level: Level
    format: str
    arguments: tuple[Argument, ...]

    def text(self, args: Sequence[float], resolve: NameResolver | None = None) -> str:
        """The log line of these arguments.

        resolve: text of an interned name (Names.resolve), for arguments of unit "text".
        """
        values = {
            argument.name: format_value(value, argument.unit, resolve)
            for argument, value in zip(self.arguments, args)  # noqa: B905  args has spare places
        }
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), self.format)


def format_value(value: float, unit: str, resolve: NameResolver | None = None) -> str:
    """One argument as text: enumerations by name, integers without a point, else up to 3 decimals.

    NaN and infinities are shown as nan, inf, -inf; a number that an enumeration does not have
    as e.g. "state(17)".
    """
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    whole = value == int(value)
    if unit == "text":
        if not value:
            return ""
        return resolve(int(value)) if resolve and whole and value > 0 else f"#{value:g}"
    if unit == "policy" and whole:
        return _POLICIES.get(int(value), f"policy({int(value)})")
    enumeration = _ENUMERATIONS.get(unit)
    if enumeration is not None:
        try:
            return enumeration(int(value)).name if whole else f"{unit}({value:g})"
        except ValueError:
            return f"{unit}({int(value)})"
    if whole and abs(value) < 1e15:
        return str(int(value))
    if 1e-3 <= abs(value) < 1e15:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{value:.3g}"


@cache
def loggers() -> tuple[str, ...]:
    """Names of the loggers of the RT process by id: index into mxrc_control.log_level."""
    names: list[str] = []
    while (name := lib.mxrc_logger_name(len(names))) != ffi.NULL:
        names.append(to_text(name))
    return tuple(names)


@cache
def event_table() -> dict[int, EventDef]:
    """All templates by message id."""
    count = ffi.new("size_t *")
    defs = lib.mxrc_event_defs(count)
    table = {}
    for index in range(count[0]):
        row = defs[index]
        pairs = [pair.partition(":") for pair in to_text(row.arguments).split(",") if pair]
        table[int(row.id)] = EventDef(
            id=int(row.id),
            name=to_text(row.name),
            logger=to_text(row.logger),
            logger_id=int(row.logger_id),
            level=Level(row.level),
            format=to_text(row.format),
            arguments=tuple(Argument(name, unit) for name, _, unit in pairs),
        )
    return table


@cache
def message_id(name: str) -> int:
    """Id of a template by its name in events.def, e.g. "MAIN_READY".

    Raises:
        KeyError: there is none of that name.
    """
    for row in event_table().values():
        if row.name == name:
            return row.id
    raise KeyError(name)


def format_event(message: int, args: Sequence[float], resolve: NameResolver | None = None) -> str:
    """Text of a log record; an id that this build does not know is shown with its arguments."""
    row = event_table().get(int(message))
    if row is None:
        return f"Message {int(message)} {[float(value) for value in args]}"
    return row.text(args, resolve)
