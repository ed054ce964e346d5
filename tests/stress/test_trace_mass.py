"""10,000 tasks, every second one sampled: a sampled trace is complete, or its loss counted."""

from __future__ import annotations

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from shared.trace_context import TraceContext, format_traceparent
from tests.integration.test_end_to_end import Collector, Span, instance_with, new_trace
from tests.integration.test_nonrt_process import JSON
from tests.processes import Place, wait_for

TASKS = 10_000
CLIENTS = 16
NAMES = ["POST /api/v1/task/start", "action.execute", "sequence.run", "task.execute"]


def mass_task(place: Place) -> None:
    actions = [{"name": "once", "type": "wait", "parameters": {"duration_s": 0.001}}]
    definition = {"pattern": "mass_*", "sequence": {"name": "mass", "actions": actions}}
    path = place.config_dir / "tasks" / "mass.json"
    path.write_text(json.dumps(definition))
    path.chmod(0o640)


def dropped(metrics: str) -> int:
    (line,) = [row for row in metrics.splitlines() if row.startswith("mxrc_tracing_dropped_spans_")]
    return round(float(line.split()[-1]))


def test_every_sampled_trace_is_complete_or_its_loss_is_counted(place: Place) -> None:
    mass_task(place)
    with Collector() as collector, instance_with(place, collector) as (_, nonrt):
        sampled: dict[str, str] = {}
        unsampled: set[str] = set()

        def start(number: int) -> None:
            caller = new_trace()
            if number % 2:
                caller = TraceContext(caller.trace_id, caller.span_id, 0)
            answer = nonrt.request(
                "POST",
                "/api/v1/task/start",
                json={"task_id": f"mass_{number}", "mode": "once"},
                headers=JSON | {"traceparent": format_traceparent(caller)},
            )
            assert answer.status_code == 202, answer.text
            if caller.sampled:
                sampled[caller.trace_id.hex()] = f"mass_{number}"
            else:
                unsampled.add(caller.trace_id.hex())

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(start, range(TASKS)))

        def all_ended() -> bool:
            page = nonrt.get("/api/v1/tasks", params={"status": "COMPLETED", "limit": 1}).json()
            return bool(page["total"] == TASKS)

        wait_for(all_ended, "the end of all tasks", 300)

        def traces() -> dict[str, list[Span]]:
            found: dict[str, list[Span]] = defaultdict(list)
            for span in collector.all():
                found[span.trace_id].append(span)
            return found

        wanted = len(sampled) * len(NAMES)

        def accounted() -> int | None:
            seen = traces()
            found = sum(len({one.span_id for one in seen[trace]}) for trace in sampled)
            lost = dropped(nonrt.metrics())
            return lost + 1 if found + lost >= wanted else None

        lost = wait_for(accounted, "every span or its loss", 120) - 1
        found = traces()
        incomplete = 0
        for trace_id, task in sampled.items():
            spans = {span.span_id: span for span in found[trace_id]}
            if sorted(span.name for span in spans.values()) != NAMES:
                incomplete += 1
                continue
            for span in spans.values():
                if not span.name.startswith("POST"):
                    assert span.parent in spans
                    assert span.attributes["task.id"] == task
        print(f"{len(sampled)} sampled traces, {incomplete} incomplete, {lost} spans given up")
        assert incomplete <= lost
        assert not unsampled & found.keys()
