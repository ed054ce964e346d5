"""What the rest of the configuration has against a task definition."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping

from shared.config.base import Fault
from shared.config.models.actions import SetOutput
from shared.config.models.datastore import DataStoreKey
from shared.config.models.robot import RobotConfig
from shared.config.models.tasks import TaskDefinition, Trigger
from shared.config.motion_checks import motion_faults

Keys = Mapping[str, DataStoreKey]


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
        yield from _trigger_faults(task.trigger, keys)
    for index, action in enumerate(task.sequence.actions):
        if isinstance(action, SetOutput):
            place = ("sequence", "actions", index, "parameters")
            for fault in _output_faults(action, keys):
                yield fault._replace(loc=place + fault.loc)
    yield from motion_faults(task.sequence, robot)


def _trigger_faults(trigger: Trigger, keys: Keys) -> Iterator[Fault]:
    key = keys.get(trigger.key)
    if key is None:
        yield unknown_key(trigger.key, keys)._replace(loc=("trigger", "key"))
    elif key.type not in ("bool", "int64", "double"):
        yield Fault(
            ("trigger", "key"), f"must be a key of type bool, int64 or double, not {key.type}"
        )
    elif key.type == "bool" and trigger.op not in ("==", "!="):
        yield Fault(("trigger", "op"), 'must be "==" or "!=" for a key of type bool')
    elif isinstance(trigger.value, bool) != (key.type == "bool") or (
        key.type == "int64" and isinstance(trigger.value, float)
    ):
        yield Fault(("trigger", "value"), f"must be of the key's type, {key.type}")


def _output_faults(action: SetOutput, keys: Keys) -> Iterator[Fault]:
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


MAX_EXACT_INTEGER = 1 << 53


def unknown_key(name: str, keys: Keys) -> Fault:
    """The fault at `key` of a name that the data store does not have."""
    close = difflib.get_close_matches(name, keys, 1)
    known = "known: " + (", ".join(sorted(keys)) or "none")
    return Fault(
        ("key",),
        "must be a key of datastore.json",
        f"did you mean {close[0]}? {known}" if close else known,
    )
