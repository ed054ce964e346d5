"""rt.recovery spans: what a new PRIMARY went on from, made from its log events afterwards.

Each is a trace of its own, always sampled, from the last cycle before it to its own first one. Ids
follow from generation and epoch, so that an event that is read again after a crash makes the same
span.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from nonrt_process.traces import otlp
from nonrt_process.traces.cycle_spans import cycle_ids
from shared.enums import EventKind, RtState, name_of
from shared.events import message_id
from shared.layout import Records
from shared.trace_context import FLAG_SAMPLED

NAME: Final = "rt.recovery"
STATE_BLOCK: Final = message_id("RECOVERED_STATE")
CHECKPOINT: Final = message_id("RECOVERED_CHECKPOINT")
CLEAN: Final = message_id("CLEAN_START")
_SOURCES: Final = {STATE_BLOCK: "state_block", CHECKPOINT: "checkpoint", CLEAN: "clean_start"}
_NOT_OF_CYCLES: Final = (1 << 64) - 1
"""Against the generation, so that an epoch does not get the ids of the cycle of that number."""


def recoveries(events: Records) -> Records:
    """Those of the event records that say what a new PRIMARY went on from."""
    said = np.isin(events["message_id"], list(_SOURCES))
    found: Records = events[(events["kind"] == EventKind.LOG) & said]
    return found


def finished(
    event: np.void,
    generation: int,
    period_ns: int,
    ended_ns: int,
    origin: otlp.Origin,
    resolve: Callable[[int], str],
) -> otlp.Finished:
    """The span of one of the `recoveries`. ended_ns: its time_ns as Unix time."""
    epoch, message = int(event["epoch"]), int(event["message_id"])
    values: dict[str, otlp.AttributeValue] = {
        "mxrc.recovery": _SOURCES[message],
        "mxrc.epoch": epoch,
        "rt.cycle": int(event["cycle"]),
    }
    missed = 0
    if message != CLEAN:
        values["rt.state"] = name_of(RtState, int(event["args"][2 if message == CHECKPOINT else 1]))
    if message == STATE_BLOCK:
        missed = int(event["args"][3])
        values |= {"mxrc.active_tasks": int(event["args"][2]), "rt.skipped": missed}
    elif message == CHECKPOINT:
        values["mxrc.checkpoint_id"] = resolve(int(event["args"][0]))
    (ids,) = cycle_ids(generation ^ _NOT_OF_CYCLES, np.array([epoch], np.uint64))
    trace_id, span_id = ids[:16].tobytes(), ids[16:].tobytes()
    started_ns = ended_ns - missed * period_ns
    message_bytes = otlp.span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=b"",
        name=NAME,
        kind=otlp.KIND_INTERNAL,
        start_ns=started_ns,
        end_ns=ended_ns,
        attributes=otlp.attributes(values),
        flags=FLAG_SAMPLED,
    )
    element = otlp.field(2, message_bytes)
    return otlp.Finished(origin, element, trace_id, span_id, NAME, "", "", started_ns, ended_ns)
