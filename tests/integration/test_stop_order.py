"""After a stop in order nothing moves by itself, whichever of the two processes ended first."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from typing import Any

from shared.checkpoint_file import load_newest
from shared.enums import RegionId
from shared.metrics_def import counter_index
from shared.segment import Segment
from tests.integration.test_nonrt_process import (
    ANY_TIMING,
    SERVING,
    NonRt,
    started_nonrt,
)
from tests.integration.test_task_blocks import ended, start, state
from tests.processes import Place, Running, started_rt, wait_for, wait_for_state

HOLDS: dict[str, Any] = {
    "pattern": "holds_*",
    "on_restart": "resume",
    "sequence": {
        "name": "s",
        "actions": [
            {"name": "h", "type": "hold", "parameters": {"duration_s": 60.0, "axes": ["base"]}}
        ],
    },
}
STARTED = counter_index("mxrc_rt_tasks_started")
TASKS = ("holds_first", "holds_second")


def newest_state(place: Place) -> str:
    found = load_newest(
        place.folder / "checkpoints", "rt_process", place.instance, lambda _line: None
    )
    return "" if found is None else str(found.document["rt_state"]["state"])


def stop(running: Running) -> None:
    running.signal(signal.SIGTERM)
    assert running.wait() == 0, running.output


def rt_first(rt: Running, nonrt: NonRt) -> None:
    stop(rt)
    stop(nonrt)


def nonrt_first(rt: Running, nonrt: NonRt) -> None:
    stop(nonrt)
    stop(rt)


def busy(nonrt: NonRt) -> None:
    """One task runs, one waits for its axis, and the newest checkpoint does not know of a stop."""
    for task_id in TASKS:
        start(nonrt, task_id)
    wait_for(lambda: state(nonrt, TASKS[0])["status"] == "RUNNING", "the first")
    assert state(nonrt, TASKS[1])["status"] == "PENDING"
    wait_for(lambda: newest_state(nonrt.place) == "RUNNING", "a checkpoint of what runs")


def test_nothing_begins_by_itself(place: Place) -> None:
    place.environ |= ANY_TIMING
    path = place.config_dir / "tasks" / "holds.json"
    path.write_text(json.dumps(HOLDS))
    path.chmod(0o640)
    with ExitStack() as stack:

        def both(name: str) -> tuple[Running, NonRt, Segment]:
            rt = stack.enter_context(started_rt(place, name=f"rt_{name}"))
            nonrt = stack.enter_context(started_nonrt(place, name=f"nonrt_{name}"))
            segment = wait_for_state(place, rt)
            nonrt.wait_for_status(*SERVING)
            return rt, nonrt, segment

        rt, nonrt, segment = both("begin")
        for order in (nonrt_first, rt_first):
            busy(nonrt)
            generation = segment.generation
            order(rt, nonrt)
            assert place.shm_files() == []
            assert newest_state(place) == "SHUTDOWN"

            rt, nonrt, segment = both(order.__name__)
            assert segment.generation > generation
            assert int(segment.rt_status.last_recovery) == 0
            for task_id in TASKS:
                end = ended(nonrt, task_id)
                assert end["status"] == "CANCELLED", (order.__name__, end)
            assert int(segment.rt_status.active_tasks) == 0
            begun = segment.struct(RegionId.RT_METRICS).counter[STARTED]
            assert int(begun) == 0, order.__name__
