"""Conditions as the executive evaluates them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.config.models.conditions import Condition, Trigger
from shared.datastore import Key
from shared.enums import Compare, ConditionSource

COMPARISONS: Final = {
    "==": Compare.EQ,
    "!=": Compare.NE,
    "<": Compare.LT,
    "<=": Compare.LE,
    ">": Compare.GT,
    ">=": Compare.GE,
}
ANY_EVENT: Final = (Compare.GE, -sys.float_info.max)
"""What the value of every event satisfies."""


def encode(
    into: Any,
    condition: Condition | Trigger,
    keys: Mapping[str, Key],
    topic: Callable[[str], int],
    *,
    edge: bool = False,
) -> None:
    """Fill a struct mxrc_condition. topic: index of a topic among those of the program."""
    if condition.key is None:
        into.source = int(ConditionSource.EVENT)
        into.key = topic(str(getattr(condition, "event", "")))
    else:
        into.source = int(ConditionSource.KEY)
        into.key = keys[condition.key].handle
        into.element = condition.element
        into.edge = int(edge)
    if condition.value is None:
        into.compare, into.value = int(ANY_EVENT[0]), ANY_EVENT[1]
    else:
        into.compare, into.value = int(COMPARISONS[condition.op]), float(condition.value)
