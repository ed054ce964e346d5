"""What goes into a checkpoint: the newest valid state block and the critical keys of that cycle.

Needs no numpy: the RT process writes one when it was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shared.core import MxrcError, lib
from shared.datastore import DataStore, Key, Stored
from shared.enums import RegionId
from shared.state_block import describe, read_block

if TYPE_CHECKING:
    from shared.segment import Segment

TRIES: Final = 20
"""At 10 kHz a handful is enough; RT may have died between a key and its state block."""


def take(
    segment: Segment, instance: str, events: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any] | None:
    """Content of a checkpoint as `shared.checkpoint_file` wants it; None without a valid state.

    events: what observers of the event bus are not done with.

    rt_state.time is wall-clock ns; the other *_ns in it are CLOCK_MONOTONIC of boot `boot_id`.
    """
    found = _of_one_cycle(segment)
    if found is None:
        return None
    block, values = found
    state = describe(segment, block)
    executive = state.pop("executive", {})
    tasks = state.pop("tasks", [])
    active = [{"task_id": task["task_id"], "execution_id": task["execution_id"]} for task in tasks]
    running = [
        {"sequence_id": task.get("sequence", ""), "task_id": task["task_id"], "step": task["step"]}
        for task in tasks
    ]
    content = {
        "instance": instance,
        "rt_state": {
            **state,
            **executive,
            "epoch": state["epoch"],
            "cycle": state["cycle"],
            "time": int(lib.mxrc_clock_to_realtime(segment.raw, state["time_ns"])),
            "generation": segment.generation,
            "boot_id": bytes(segment.header.boot_id).hex(),
            "active_tasks": active,
            "running_sequences": running,
            "action_queue_size": _commands_waiting(segment, executive),
            "tasks": tasks,
        },
        "datastore_snapshot": {
            key.name: {
                "type": key.definition.type,
                "value": stored.value,
                "writer": key.definition.writer,
            }
            for key, stored in values
        },
        "eventbus_queue_snapshot": list(events),
    }
    finite: dict[str, Any] = _finite(content)
    return finite


def _of_one_cycle(segment: Segment) -> tuple[Any, list[tuple[Key, Stored]]] | None:
    """A state block, and the critical keys as they were when it was written; None without one.

    RT writes a key with the time of its cycle, which is that of the state block at its end: a key
    that is later is of a cycle after it.
    """
    store = DataStore(segment)
    keys = [key for key in store.keys.values() if key.definition.critical]
    for _ in range(TRIES):
        block = read_block(segment)
        if block is None:
            return None
        values = _values(store, keys)
        time_ns = int(block.time_ns)
        rt = (stored for key, stored in values if key.definition.writer == "rt")
        if all(stored.time_ns <= time_ns for stored in rt):
            break
    return block, values


def _values(store: DataStore, keys: Sequence[Key]) -> list[tuple[Key, Stored]]:
    values = []
    for key in keys:
        try:
            values.append((key, store.read(key.name)))
        except MxrcError:
            continue  # its writer died in the middle: there is no value to keep
    return values


def _commands_waiting(segment: Segment, executive: Mapping[str, Any]) -> int:
    head = int(segment.pointer(RegionId.COMMANDS, "struct mxrc_ring_header *").head)
    return max(0, head - int(executive.get("command_tail", head)))


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinities: null stands for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def state_cycle(segment: Segment) -> int | None:
    """Cycle of the newest valid state block."""
    block = read_block(segment)
    return None if block is None else int(block.cycle)
