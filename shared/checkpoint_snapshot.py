"""What goes into a checkpoint: the newest valid state block and the critical keys.

Needs no numpy: the RT process writes one when it was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.core import MxrcError, ffi, lib
from shared.datastore import DataStore
from shared.enums import RegionId
from shared.state_block import read_state

if TYPE_CHECKING:
    from shared.segment import Segment


def take(
    segment: Segment, instance: str, events: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any] | None:
    """Content of a checkpoint as `shared.checkpoint_file` wants it; None without a valid state.

    events: what observers of the event bus are not done with.

    rt_state.time is wall-clock ns; the other *_ns in it are CLOCK_MONOTONIC of boot `boot_id`.
    """
    state = read_state(segment)
    if state is None:
        return None
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
            "action_queue_size": _commands_waiting(segment),
            "tasks": tasks,
        },
        "datastore_snapshot": _data_store(segment),
        "eventbus_queue_snapshot": list(events),
    }
    finite: dict[str, Any] = _finite(content)
    return finite


def _commands_waiting(segment: Segment) -> int:
    head = int(segment.pointer(RegionId.COMMANDS, "struct mxrc_ring_header *").head)
    return max(0, head - int(segment.rt_status.command_tail))


def _data_store(segment: Segment) -> dict[str, Any]:
    store = DataStore(segment)
    snapshot = {}
    for key in store.keys.values():
        if key.definition.critical:
            try:
                stored = store.read(key.name)
            except MxrcError:
                continue  # its writer died in the middle: there is no value to keep
            snapshot[key.name] = {
                "type": key.definition.type,
                "value": stored.value,
                "writer": key.definition.writer,
            }
    return snapshot


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
    block = ffi.new("struct mxrc_state_block *")
    return int(block.cycle) if lib.mxrc_state_read(segment.raw, block) else None
