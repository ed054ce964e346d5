"""The receiver is away under load and the Non-RT process is killed meanwhile: no span is lost."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter

import pytest

from shared.enums import RegionId
from shared.metrics_def import counters
from shared.trace_context import format_traceparent
from tests.integration.test_end_to_end import Collector, instance_with, new_trace
from tests.integration.test_nonrt_process import JSON, SERVING, NonRt, started_nonrt
from tests.processes import Place, wait_for

AWAY_S = 30.0
TASKS = 6
ACTIONS = 60
RATE = 5_000
"""Spans a second on a quiet machine: 62 spans of each task every 65 ms are 5,700."""
RT_SPANS = ("task.execute", "sequence.run", "action.execute")


def quick_task(place: Place) -> None:
    """Six of them make more than 5,000 spans a second at 1 kHz."""
    actions = [
        {"name": f"step_{n}", "type": "wait", "parameters": {"duration_s": 0.001}}
        for n in range(ACTIONS)
    ]
    definition = {
        "pattern": "quick_*",
        "mode": "periodic",
        "period_ms": 65,
        "sequence": {"name": "quick", "actions": actions},
    }
    path = place.config_dir / "tasks" / "quick.json"
    path.write_text(json.dumps(definition))
    path.chmod(0o640)


def spans_made(place: Place) -> int:
    """What RT has counted."""
    segment = place.segment()
    assert segment is not None
    with segment:
        metrics = segment.struct(RegionId.RT_METRICS)
        return sum(
            int(metrics.counter[one.index])
            for one in counters()
            if one.name == "mxrc_tracing_spans"
        )


def run_task(nonrt: NonRt, task_id: str) -> None:
    answer = nonrt.request(
        "POST",
        "/api/v1/task/start",
        json={"task_id": task_id, "mode": "periodic"},
        headers=JSON | {"traceparent": format_traceparent(new_trace())},
    )
    assert answer.status_code == 202, answer.text


@pytest.mark.timeout(420)
def test_nothing_is_lost_while_the_receiver_is_away(place: Place) -> None:
    quick_task(place)
    # The bound: what the ring holds, 12 s of these events here, has to cover the restart.
    place.environ["MXRC_INSTANCE__EVENT_RING_SLOTS"] = "65536"
    with Collector() as collector, instance_with(place, collector) as (_, nonrt):
        collector.refuse = 1 << 30
        begun = time.monotonic()
        for n in range(TASKS):
            run_task(nonrt, f"quick_{n}")
        time.sleep(AWAY_S / 3)
        nonrt.signal(signal.SIGKILL)
        nonrt.wait()
        time.sleep(1)
        with started_nonrt(place, name="again") as again:
            again.wait_for_status(*SERVING)
            time.sleep(max(0.0, AWAY_S - (time.monotonic() - begun)))
            for n in range(TASKS):
                again.request("DELETE", f"/api/v1/tasks/quick_{n}", headers=JSON)
            made = wait_for(lambda: stable(place), "the end of the tasks")
            took = time.monotonic() - begun
            print(f"{made} spans, {made / took:.0f} a second")
            assert made > AWAY_S * RATE / 4, "a loaded machine skips periods, and says so"
            collector.refuse = 0

            def all_there() -> list[str] | None:
                # A look at all of them takes time from the receiver, a thread of this process.
                if collector.count() < made:
                    return None
                ids = [span.span_id for span in collector.all() if span.name in RT_SPANS]
                return ids if len(set(ids)) >= made else None

            lines = again.metrics().splitlines()
            given_up = [
                one for one in lines if one.startswith("mxrc_tracing_spans_given_up_total{")
            ]
            assert all(one.endswith(" 0.0") for one in given_up), given_up
            ids = wait_for(all_there, "all spans", 240)
            assert len(set(ids)) == made
            repeated = [one for one, count in Counter(ids).items() if count > 1]
            assert len(repeated) <= 2048
            first_seen = dict.fromkeys(ids)
            ends = {span.span_id: span.end for span in collector.all()}
            order = [ends[one] for one in first_seen]
            assert order == sorted(order)


def stable(place: Place) -> int | None:
    before = spans_made(place)
    time.sleep(1)
    return before if spans_made(place) == before else None
