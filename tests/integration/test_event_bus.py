"""Events on their way RT -> Non-RT -> RT, with an observer of the user's, in real processes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from nonrt_process.api.event_stream import MAX_STREAMS
from shared.enums import EventKind, RegionId
from shared.ring import RingReader
from shared.segment import Segment
from shared.trace_context import format_traceparent
from tests.helpers import ROOT, unique_instance
from tests.integration.test_end_to_end import TASK, Collector, Span, new_trace, newest_checkpoint
from tests.integration.test_nonrt_process import ANY_TIMING, JSON, SERVING, NonRt, started_nonrt
from tests.processes import Place, kill, started_rt, wait_for

EXAMPLE = ROOT / "examples" / "plugins" / "part_vision.py"
HOLDING = '''
"""Stays in hold.on until hold.off comes."""

import threading

from nonrt_process.interfaces import EventBus
from nonrt_process.plugins import Plugin


class Holding(Plugin):
    def __init__(self, context):
        super().__init__("holding")
        self.context = context
        self.released = threading.Event()

    def start(self):
        bus = self.context.require(EventBus)
        bus.subscribe("stuck", "hold.on", lambda event: self.released.wait(30), queue_length=2)
        bus.subscribe("release", "hold.off", lambda event: self.released.set())


def create(context):
    return Holding(context)
'''


def ask_and_wait(
    place: Place, task_id: str, ask: str, wait_on: str, least: float, delay_s: float = 0
) -> None:
    """A task that publishes `ask` with 1, 2.5 and waits for `wait_on` with at least a value."""
    delay = {"name": "first", "type": "wait", "parameters": {"duration_s": delay_s}}
    actions: list[dict[str, Any]] = [
        *([delay] if delay_s else []),
        {"name": "ask", "type": "emit_event", "parameters": {"topic": ask, "values": [1, 2.5]}},
        {
            "name": "await",
            "type": "wait_for",
            "timeout_ms": 20_000,
            "parameters": {"condition": {"event": wait_on, "op": ">=", "value": least}},
        },
    ]
    path = place.config_dir / "tasks" / f"{task_id}.json"
    path.write_text(json.dumps({"id": task_id, "sequence": {"name": "judge", "actions": actions}}))
    path.chmod(0o640)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, NonRt, Collector]]:
    place = Place(unique_instance(), tmp_path_factory.mktemp("bus"))
    for name, source in (("vision.py", EXAMPLE.read_text()), ("holding.py", HOLDING)):
        (place.config_dir / name).write_text(source)
        (place.config_dir / name).chmod(0o640)
    route = {"name": "gate", "on": "gate.*", "send": "gate.open", "value": 3}
    bus = {"plugins": ["vision.py", "holding.py"], "routes": [route]}
    (place.config_dir / "event_bus.json").write_text(json.dumps(bus))
    ask_and_wait(place, "judge_part", "part.ready", "part.judged", 3.5)
    ask_and_wait(place, "pass_gate", "gate.asked", "gate.open", 3)
    with Collector() as collector:
        place.environ |= ANY_TIMING | {
            "MXRC_TRACING_CONFIG__EXPORTER__TYPE": "OTLP",
            "MXRC_TRACING_CONFIG__EXPORTER__ENDPOINT": collector.endpoint,
        }
        with started_rt(place) as rt, started_nonrt(place) as nonrt:
            nonrt.wait_for_status(*SERVING)
            nonrt.wait_for_status(*SERVING, process="non_rt_process")
            yield place, nonrt, collector
            for running in (nonrt, rt):
                running.signal(signal.SIGTERM)
                assert running.wait() == 0, running.output
    assert place.shm_files() == []


def run_traced(nonrt: NonRt, task_id: str, collector: Collector, spans: int) -> list[Span]:
    """Spans of the request that started the task, once there are so many; it has completed."""
    caller = new_trace()
    answer = nonrt.request(
        "POST",
        TASK,
        json={"task_id": task_id, "mode": "once"},
        headers=JSON | {"traceparent": format_traceparent(caller)},
    )
    assert answer.status_code == 202, answer.text

    def ended() -> dict[str, Any] | None:
        info: dict[str, Any] = nonrt.get(f"/api/v1/tasks/{task_id}").json()
        return info if info["ended_at"] else None

    info = wait_for(ended, f"the end of {task_id}")
    assert info["status"] == "COMPLETED", info
    trace_id = caller.trace_id.hex()

    def complete() -> list[Span] | None:
        found = collector.trace(trace_id)
        return found if len(found) >= spans else None

    found = wait_for(complete, "the spans")
    assert len(found) == spans, [span.name for span in found]
    assert [span.parent for span in found if span.name.startswith("POST")] == [caller.span_id.hex()]
    return found


def chain(spans: list[Span]) -> list[str]:
    """Names from the last eventbus.process up to the root."""
    by_id = {span.span_id: span for span in spans}
    (span,) = [
        one
        for one in spans
        if one.name == "eventbus.process"
        and one.start == max(other.start for other in spans if other.name == "eventbus.process")
    ]
    names = [span.name]
    while span.parent in by_id:
        above = by_id[span.parent]
        assert above.start <= span.start
        span = above
        names.append(span.name)
    return names


@pytest.mark.parametrize(
    ("task_id", "observer", "topics"),
    [
        ("judge_part", "part_vision", ["part.ready", "part.ready", "part.judged"]),
        ("pass_gate", "route.gate", ["gate.asked", "gate.asked", "gate.open"]),
    ],
)
def test_rt_to_nonrt_to_rt_is_one_trace(
    cell: tuple[Place, NonRt, Collector], task_id: str, observer: str, topics: list[str]
) -> None:
    place, nonrt, collector = cell
    # server, task, sequence, two actions, publish, process (observer), process (RT)
    spans = run_traced(nonrt, task_id, collector, 8)
    assert chain(spans) == [
        "eventbus.process", "eventbus.process", "eventbus.publish", "action.execute",
        "sequence.run", "task.execute", f"POST {TASK}",
    ]  # fmt: skip
    published = next(span for span in spans if span.name == "eventbus.publish")
    ours = next(span for span in spans if span.parent == published.span_id)
    taken = next(span for span in spans if span.parent == ours.span_id)
    assert [span.attributes["eventbus.topic"] for span in (published, ours, taken)] == topics
    assert ours.attributes["eventbus.observer"] == observer
    for span in (published, ours, taken):
        assert span.attributes["task.id"] == task_id
    # The answer is taken while the observer waits for RT's reply.
    assert ours.start <= taken.start <= taken.end <= ours.end
    assert ours.resource["process.pid"] == nonrt.pid != taken.resource["process.pid"]
    if observer == "part_vision":
        log = (place.folder / "log" / "non_rt_process.log").read_text().splitlines()
        lines = [json.loads(line) for line in log if "Part of task judge_part scores 3.5" in line]
        assert [line["span.id"] for line in lines] == [ours.span_id]


def observers(nonrt: NonRt) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in nonrt.get("/api/v1/events").json()["observers"]}


def test_a_stuck_observer_holds_up_nobody(cell: tuple[Place, NonRt, Collector]) -> None:
    place, nonrt, _ = cell
    for number in range(5):
        answer = nonrt.request("POST", "/api/v1/events/hold.on", json={"value": 7})
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"topic": "hold.on", "cycle": None, "observers": 1}
        if number == 0:
            wait_for(lambda: observers(nonrt)["stuck"]["queued"] == 0, "the start of the wait")
    stuck = observers(nonrt)["stuck"]
    assert (stuck["queued"], stuck["dropped"], stuck["processed"]) == (2, 2, 0)
    assert 'mxrc_eventbus_dropped_events_total{observer="stuck",process="non_rt_process"} 2.0' in (
        nonrt.metrics()
    )
    health = nonrt.wait_for_status("DEGRADED", process="non_rt_process")
    assert "observer stuck lost events" in health["error_message"]

    assert nonrt.request("POST", "/api/v1/rt/pause").status_code == 200

    def kept() -> list[dict[str, Any]] | None:
        file = newest_checkpoint(place)
        if file is None or file.document["rt_state"]["state"] != "PAUSED":
            return None
        events: list[dict[str, Any]] = file.document["eventbus_queue_snapshot"]
        return events

    events = wait_for(kept, "a checkpoint")
    assert [(one["observer"], one["topic"], one["values"]) for one in events] == [
        ("stuck", "hold.on", [7.0])
    ] * 3
    assert nonrt.request("POST", "/api/v1/rt/resume").status_code == 200

    before = observers(nonrt)["part_vision"]["processed"]
    spans = nonrt.request("POST", TASK, json={"task_id": "judge_part", "mode": "once"})
    assert spans.status_code == 202
    wait_for(lambda: observers(nonrt)["part_vision"]["processed"] > before, "the other observer")
    assert nonrt.request("POST", "/api/v1/events/hold.off", json={}).status_code == 200
    wait_for(lambda: observers(nonrt)["stuck"]["processed"] == 3, "the end of the wait")


def test_an_event_that_nobody_wants_is_refused(cell: tuple[Place, NonRt, Collector]) -> None:
    _, nonrt, _ = cell
    assert nonrt.request("POST", "/api/v1/events/nobody", json={}).status_code == 409
    assert nonrt.request("POST", "/api/v1/events/no%20name", json={}).status_code == 422


def lines_of(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events of a stream."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_changes_of_the_data_store_are_streamed(cell: tuple[Place, NonRt, Collector]) -> None:
    _, nonrt, _ = cell
    url = nonrt.urls()["http"] + "/api/v1/datastore/stream"
    key = next(
        one for one in nonrt.get("/api/v1/datastore").json()["keys"]
        if one["writer"] == "nonrt" and one["type"] == "double"
    )  # fmt: skip
    path = f"/api/v1/datastore/{key['key']}"
    low, high = key["min"] or 0.0, key["max"] or 1.0
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=20))
        asked = {"keys": key["key"], "interval_ms": "50"}
        response = stack.enter_context(client.stream("GET", url, params=asked))
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        events = lines_of(response)
        name, first = next(events)
        assert (name, first["value"], first["type"]) == ("change", key["value"], "double")
        for value in (low, (low + high) / 2):
            assert nonrt.request("PUT", path, json={"value": value}).status_code == 200
            name, change = next(events)
            assert (name, change["key"], change["value"]) == ("change", key["key"], value)
            assert change["skipped"] == 0
        # More of them than there is room for; the others and the rest of the API go on.
        others = [
            stack.enter_context(client.stream("GET", url, params={"interval_ms": "60000"}))
            for _ in range(MAX_STREAMS)
        ]
        assert [one.status_code for one in others] == [200] * (MAX_STREAMS - 1) + [503]
        assert others[-1].headers["retry-after"] == "5"
        assert others[-1].headers["content-type"] == "application/problem+json"
        assert nonrt.get("/health").status_code == 200
        assert f'mxrc_http_streams{{process="non_rt_process"}} {MAX_STREAMS:.1f}' in nonrt.metrics()
        # The request was measured to where the stream began.
        count = "mxrc_http_request_duration_seconds_count{"
        assert any(
            line.startswith(count) and "/api/v1/datastore/stream" in line
            for line in nonrt.metrics().splitlines()
        )

    def free() -> bool:
        return 'mxrc_http_streams{process="non_rt_process"} 0.0' in nonrt.metrics()

    wait_for(free, "the places to be free")
    assert nonrt.get("/api/v1/datastore/stream", params={"keys": "no.key"}).status_code == 404
    answer = nonrt.get("/api/v1/datastore/stream", params={"max_events": 1})
    assert answer.text.count("event: change") == 1


def events_of_rt(segment: Segment) -> int:
    """Events of tasks in the rings."""
    rings = (RingReader(segment, RegionId.LANE + lane) for lane in segment.lanes())
    return sum(int((ring.read(1 << 20).records["kind"] == EventKind.BUS).sum()) for ring in rings)


def test_an_event_is_answered_after_the_process_was_killed(place: Place) -> None:
    """It was published while the Non-RT process stood still, which then never saw it."""
    place.environ |= ANY_TIMING | {
        "MXRC_RT_SCHEDULE__HEARTBEAT_TIMEOUT_MS": "20000",
    }
    route = {"name": "gate", "on": "gate.*", "send": "gate.open", "value": 3}
    (place.config_dir / "event_bus.json").write_text(json.dumps({"routes": [route]}))
    ask_and_wait(place, "pass_gate", "gate.asked", "gate.open", 3, delay_s=3.0)
    with started_rt(place), started_nonrt(place) as first:
        first.wait_for_status(*SERVING)
        segment = place.segment()
        assert segment is not None
        answer = first.request("POST", TASK, json={"task_id": "pass_gate", "mode": "once"})
        assert answer.status_code == 202, answer.text

        def running() -> bool:
            return bool(first.get("/api/v1/tasks/pass_gate").json()["status"] == "RUNNING")

        wait_for(running, "the task to run")
        first.signal(signal.SIGSTOP)
        before = events_of_rt(segment)
        wait_for(lambda: events_of_rt(segment) == 1, "the event")
        kill(first)
        assert before == 0, "the machine was too slow for this test: the event came before"
        with started_nonrt(place, name="second") as second:

            def ended() -> dict[str, Any] | None:
                info: dict[str, Any] = second.get("/api/v1/tasks/pass_gate").json()
                return info if info["ended_at"] else None

            assert wait_for(ended, "the end of the task")["status"] == "COMPLETED"
            # RT has the answer before its sender knows that it has.
            wait_for(lambda: observers(second)["route.gate"]["processed"] > 0, "the observer")
            assert observers(second)["route.gate"]["processed"] == 1
        segment.detach()


def test_a_plugin_that_fails_stops_the_start(place: Place) -> None:
    place.environ |= ANY_TIMING
    file = place.config_dir / "broken.py"
    file.write_text("x = 1\n\nraise OSError('no camera')\n")
    file.chmod(0o640)
    (place.config_dir / "event_bus.json").write_text(json.dumps({"plugins": ["broken.py"]}))
    with started_nonrt(place) as nonrt:
        assert nonrt.wait() == 78
        assert "broken.py, line 3: OSError: no camera" in nonrt.output
        assert "Traceback" not in nonrt.output
