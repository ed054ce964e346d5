"""What the rest of the configuration has against a task definition."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping

from shared.config.axis_checks import axis_faults
from shared.config.base import Fault
from shared.config.errors import Loc
from shared.config.models.actions import ControlLaw, SetOutput, SetValue, UserAction, WaitFor
from shared.config.models.blocks import If, Repeat
from shared.config.models.conditions import Condition, Trigger
from shared.config.models.datastore import DataStoreKey
from shared.config.models.robot import RobotConfig
from shared.config.models.tasks import TaskDefinition
from shared.config.motion_checks import motion_faults

Keys = Mapping[str, DataStoreKey]
MAX_TOPICS = 4
"""Topics that a program can listen to (layout.h)."""
MAX_EXACT_INTEGER = 1 << 53


def task_faults(
    task: TaskDefinition, robot: RobotConfig, keys: Keys, period_us: int | None = None
) -> Iterator[Fault]:
    """Faults of a definition, with its parameters at their defaults, on this machine.

    keys: name -> key of the data store. period_us: the cycle's period; None: not checked.
    """
    if period_us and task.period_ms is not None and task.period_ms * 1000 % period_us:
        needed_ms = math.lcm(period_us, 1000) // 1000
        yield Fault(
            ("period_ms",),
            f"must be a multiple of the cycle's period ({period_us} us)",
            f"use multiples of {needed_ms}",
        )
    if task.trigger is not None:
        yield from _at(("trigger",), _comparison_faults(task.trigger, keys))
    for place, step in task.steps():
        if isinstance(step, (SetOutput, SetValue)):
            yield from _at((*place, "parameters"), _output_faults(step, keys))
        elif isinstance(step, (ControlLaw, UserAction)):
            yield from _at((*place, "parameters"), _law_faults(step, robot))
    for place, condition in conditions(task):
        yield from _at(place, _comparison_faults(condition, keys))
    yield from _topic_faults(task)
    yield from motion_faults(task, robot)
    yield from axis_faults(task, robot)


def _at(place: Loc, faults: Iterator[Fault]) -> Iterator[Fault]:
    return (fault._replace(loc=place + fault.loc) for fault in faults)


def conditions(task: TaskDefinition) -> Iterator[tuple[Loc, Condition]]:
    """Conditions that a run looks at, with their places."""
    for place, step in task.steps():
        if isinstance(step, WaitFor):
            yield (*place, "parameters", "condition"), step.parameters.condition
        elif isinstance(step, (ControlLaw, UserAction)) and step.parameters.until is not None:
            yield (*place, "parameters", "until"), step.parameters.until
        elif isinstance(step, If):
            yield (*place, "condition"), step.condition
        elif isinstance(step, Repeat) and step.while_ is not None:
            yield (*place, "while"), step.while_


def _topic_faults(task: TaskDefinition) -> Iterator[Fault]:
    topics: set[str] = set()
    for place, condition in conditions(task):
        if condition.event is None or condition.event in topics:
            continue
        topics.add(condition.event)
        if len(topics) > MAX_TOPICS:
            yield Fault(
                (*place, "event"), f"must be one of at most {MAX_TOPICS} topics of a definition"
            )


def _comparison_faults(condition: Condition | Trigger, keys: Keys) -> Iterator[Fault]:
    value = condition.value
    if condition.key is None:
        return
    key = keys.get(condition.key)
    if key is None:
        yield unknown_key(condition.key, keys)
    elif key.type == "string":
        yield Fault(
            ("key",), f"must be a key of type bool, int64, double or double[N], not {key.type}"
        )
    elif condition.element >= key.elements:
        yield Fault(("element",), f"must be below {key.elements}: {key.name} is of type {key.type}")
    elif key.type == "bool" and condition.op not in ("==", "!="):
        yield Fault(("op",), 'must be "==" or "!=" for a key of type bool')
    elif isinstance(value, bool) != (key.type == "bool") or (
        key.type == "int64" and isinstance(value, float)
    ):
        yield Fault(("value",), f"must be of the key's type, {key.type}")


def _law_faults(action: ControlLaw | UserAction, robot: RobotConfig) -> Iterator[Fault]:
    name, values = action.parameters.law, action.parameters.values
    index = robot.task_law_index.get(name)
    if index is None:
        known = list(robot.task_law_index)
        close = difflib.get_close_matches(name, known, 1)
        yield Fault(
            ("law",),
            "must name one of task_laws in robot.json; there is: " + (", ".join(known) or "none"),
            f"did you mean {close[0]}?" if close else "",
        )
    elif values is not None and len(values) != len(robot.task_laws[index].parameters):
        count = len(robot.task_laws[index].parameters)
        yield Fault(("values",), f"must be {count} numbers: {name} takes as many (robot.json)")


def _output_faults(action: SetOutput | SetValue, keys: Keys) -> Iterator[Fault]:
    key = keys.get(action.parameters.key)
    value = action.parameters.value
    if key is None:
        yield unknown_key(action.parameters.key, keys)
    elif key.writer != "rt":
        yield Fault(("key",), "must be a key whose writer is rt", "tasks run on the RT side")
    elif key.type == "string":
        yield Fault(("key",), "must be a key of type bool, int64, double or double[N]")
    elif reason := key.refusal(value):
        yield Fault(("value",), reason, f"{key.name} is of type {key.type}")
    elif key.type == "int64" and isinstance(value, int) and abs(value) > MAX_EXACT_INTEGER:
        yield Fault(("value",), "must be an integer of at most 53 bits", "it travels as a double")


def unknown_key(name: str, keys: Keys) -> Fault:
    """The fault at `key` of a name that the data store does not have."""
    close = difflib.get_close_matches(name, keys, 1)
    known = "known: " + (", ".join(sorted(keys)) or "none")
    return Fault(
        ("key",),
        "must be a key of datastore.json",
        f"did you mean {close[0]}? {known}" if close else known,
    )
