from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nonrt_process.pump import Pump
from nonrt_process.traces import otlp, recovery_spans
from nonrt_process.traces.cycle_spans import cycle_ids
from shared.enums import EventKind, NameKind, RtState
from shared.names import Names
from tests.unit.nonrt_process.fakes import (
    become_primary,
    events,
    fake_context,
    publish_events,
    real_segment,
)
from tests.unit.nonrt_process.traces.test_rt_spans import Setup, attributes

ENDED_NS = 5_000_000_000


def said(message: int, args: list[float], epoch: int) -> dict[str, Any]:
    return {
        "kind": EventKind.LOG,
        "message_id": message,
        "args": args + [0.0] * (6 - len(args)),
        "epoch": epoch,
        "cycle": 4711,
        "time_ns": ENDED_NS,
    }


def test_each_says_what_it_went_on_from_and_is_a_trace_of_its_own(tmp_path: Path) -> None:
    setup = Setup()
    with real_segment(tmp_path) as (rt, nonrt):
        become_primary(rt)
        identity = Names(nonrt).intern(NameKind.KEY, "1b4e28ba-2fa1-11d2-883f-0016d3cca427")
        period_ns = int(nonrt.lease.period_ns)
        pump = Pump(fake_context(tmp_path, segment=nonrt), setup.consumer)
        rows = [
            said(recovery_spans.CLEAN, [0.0], epoch=1),
            said(recovery_spans.STATE_BLOCK, [4700.0, float(RtState.RUNNING), 2.0, 10.0], epoch=2),
            said(recovery_spans.CHECKPOINT, [float(identity), 60.0, float(RtState.PAUSED)], 3),
        ]
        publish_events(rt, [*rows, said(10, [], epoch=3)])
        pump.turn()
        pump.close()
    clean, block, checkpoint = spans = setup.spans()
    assert {one.name for one in spans} == {"rt.recovery"}
    assert len({one.trace_id for one in spans}) == len({one.span_id for one in spans}) == 3
    assert not any(one.parent_span_id for one in spans)
    assert attributes(clean) == {
        "mxrc.recovery": "clean_start",
        "mxrc.epoch": 1,
        "rt.cycle": 4711,
    }
    assert attributes(block) == {
        "mxrc.recovery": "state_block",
        "mxrc.epoch": 2,
        "rt.cycle": 4711,
        "rt.state": "RUNNING",
        "mxrc.active_tasks": 2,
        "rt.skipped": 10,
    }
    assert block.end_time_unix_nano - block.start_time_unix_nano == 10 * period_ns > 0
    assert attributes(checkpoint) == {
        "mxrc.recovery": "checkpoint",
        "mxrc.checkpoint_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        "mxrc.epoch": 3,
        "rt.cycle": 4711,
        "rt.state": "PAUSED",
    }


def test_read_again_it_is_the_same_span_and_later_another_one() -> None:
    args = [1.0, float(RtState.RUNNING), 0.0, 0.0]
    records = events([said(recovery_spans.STATE_BLOCK, args, epoch) for epoch in (2, 2, 3)])
    none = otlp.Origin.make({}, "rt", "1")
    ids = []
    for event, generation in zip(records[[0, 1, 2, 0]], (7, 7, 7, 8), strict=True):
        span = recovery_spans.finished(event, generation, 1_000_000, ENDED_NS, none, str)
        ids.append((span.trace_id, span.span_id))
        cycle = cycle_ids(generation, event["epoch"][None].astype(np.uint64))[0].tobytes()
        assert ids[-1] != (cycle[:16], cycle[16:]), "of the cycle of that number"
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
