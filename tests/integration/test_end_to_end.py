"""From an HTTP request through the real-time cycle to collector, log file and checkpoint."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from shared.checkpoint_file import CheckpointFile, load_newest
from shared.enums import RegionId
from shared.ring import RingReader
from shared.segment import Segment
from shared.trace_context import (
    TraceContext,
    format_traceparent,
    generate_span_id,
    generate_trace_id,
    parse_traceparent,
)
from tests.integration.test_nonrt_process import ANY_TIMING, JSON, SERVING, NonRt, started_nonrt
from tests.processes import BIN, Place, Running, kill, started_rt, wait_for, wait_for_state

TASK = "/api/v1/task/start"
AXES = 6


@dataclass(frozen=True)
class Span:
    """A span as a collector sees it; ids in hex, times in ns."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    start: int
    end: int
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


def values(pairs: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in pairs
    }


class Collector:
    """An OTLP/HTTP receiver that keeps what it gets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self.refuse = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.take(self.path, gzip.decompress(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(status)
                if status == 503:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def take(self, path: str, body: bytes) -> int:
        if path != "/v1/traces":
            return 404
        with self._lock:
            if self.refuse:
                self.refuse -= 1
                return 503
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = values(group.resource.attributes)
                for scope in group.scope_spans:
                    for span in scope.spans:
                        self._spans.append(
                            Span(
                                span.trace_id.hex(),
                                span.span_id.hex(),
                                span.parent_span_id.hex(),
                                span.name,
                                span.start_time_unix_nano,
                                span.end_time_unix_nano,
                                span.status.code,
                                values(span.attributes),
                                resource,
                            )
                        )
        return 200

    def trace(self, trace_id: str) -> list[Span]:
        with self._lock:
            return [span for span in self._spans if span.trace_id == trace_id]

    def count(self) -> int:
        return len(self._spans)

    def all(self) -> list[Span]:
        with self._lock:
            return list(self._spans)

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def short_move(place: Place) -> None:
    """A task of two short moves, so that the tests need not wait for the arm."""
    axis = json.loads((place.config_dir / "robot.json").read_text())["axes"][0]
    actions = [
        {
            "name": name,
            "type": "move_joints",
            "parameters": {"target": {axis["name"]: target}, "duration_s": 0.8},
        }
        for name, target in (("out", 0.2), ("back", 0.0))
    ]
    path = place.config_dir / "tasks" / "short_move.json"
    definition = {"id": "short_move", "sequence": {"name": "out_and_back", "actions": actions}}
    path.write_text(json.dumps(definition))
    path.chmod(0o640)


@contextmanager
def instance_with(place: Place, collector: Collector) -> Iterator[tuple[Running, NonRt]]:
    place.environ |= ANY_TIMING | {
        "MXRC_TRACING_CONFIG__EXPORTER__TYPE": "OTLP",
        "MXRC_TRACING_CONFIG__EXPORTER__ENDPOINT": collector.endpoint,
    }
    short_move(place)
    with started_rt(place) as rt, started_nonrt(place) as nonrt:
        nonrt.wait_for_status(*SERVING)
        yield rt, nonrt


def start(nonrt: NonRt, task_id: str, caller: TraceContext) -> dict[str, Any]:
    answer = nonrt.request(
        "POST",
        TASK,
        json={"task_id": task_id, "mode": "once"},
        headers=JSON | {"traceparent": format_traceparent(caller), "tracestate": "vendor=1"},
    )
    assert answer.status_code == 202, answer.text
    returned = parse_traceparent(answer.headers["traceparent"])
    assert returned is not None
    assert returned.trace_id == caller.trace_id
    assert returned.sampled
    assert answer.headers["tracestate"] == "vendor=1"
    body: dict[str, Any] = answer.json()
    assert body["trace_id"] == caller.trace_id.hex()
    assert 0 < body["execution_id"] < 1 << 63
    return body | {"server_span": returned.span_id.hex()}


def wait_for_end(nonrt: NonRt, task_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        info: dict[str, Any] = nonrt.get(f"/api/v1/tasks/{task_id}").json()
        return info if info["ended_at"] else None

    return wait_for(look, f"the end of {task_id}")


def rt_lines(place: Place) -> list[dict[str, Any]]:
    return log_documents(place.folder / "log" / "rt_process.log")


def log_documents(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log file."""
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def newest_checkpoint(place: Place) -> CheckpointFile | None:
    folder: Path = place.folder / "checkpoints"
    return load_newest(folder, "rt_process", place.instance, pytest.fail)


def logged_events(segment: Segment) -> set[int]:
    """event.sequence of every event still in the rings that is a log line."""
    found = set()
    for lane in segment.lanes():
        records = RingReader(segment, RegionId.LANE + lane).read(1 << 20).records
        numbers = records[records["message_id"] != 0]["seq"] // 2 - 1
        found |= {int(number) * 16 + lane for number in numbers}
    return found


def check_tree(
    spans: list[Span], caller: TraceContext, server_span: str, actions: list[str]
) -> None:
    """Server -> task -> sequence -> actions, each within its parent, nothing else."""
    by_id = {span.span_id: span for span in spans}
    names = Counter(span.name for span in by_id.values())
    assert names == Counter(
        [f"POST {TASK}", "task.execute", "sequence.run", *["action.execute"] * len(actions)]
    )
    (server,) = [span for span in by_id.values() if span.name.startswith("POST")]
    assert server.span_id == server_span
    assert server.parent == caller.span_id.hex()
    parents = {"task.execute": server.name, "sequence.run": "task.execute"}
    parents["action.execute"] = "sequence.run"
    for span in by_id.values():
        assert span.start <= span.end
        if span is server:
            continue
        parent = by_id[span.parent]
        assert parent.name == parents[span.name]
        if parent is not server:  # what an answered request has started goes on without it
            assert parent.start <= span.start <= span.end <= parent.end
        assert span.attributes["task.id"]
        assert span.attributes["rt.cycle"] > 0
        assert "rt.slot" in span.attributes
    found = sorted((s for s in by_id.values() if s.name == "action.execute"), key=lambda s: s.start)
    assert [span.attributes["action.id"] for span in found] == actions
    assert {span.attributes["sequence.id"] for span in found} == {
        span.attributes["sequence.id"] for span in by_id.values() if span.name == "sequence.run"
    }
    for span in by_id.values():
        assert span.resource["service.name"]
        assert span.resource["service.namespace"] == "mxrc"
        assert span.resource["host.name"]
    assert len({span.resource["service.instance.id"] for span in by_id.values()}) == 2


def position_range(segment: Segment) -> float:
    """How far the first axis has moved in the cycles still in the ring."""
    cycles = RingReader(segment, RegionId.CYCLE_RING).latest(1 << 20).records
    positions = cycles["position"][:, 0]
    return float(positions.max() - positions.min())


def new_trace() -> TraceContext:
    return TraceContext(generate_trace_id(), generate_span_id(), 1)


def test_a_request_moves_the_arm_and_is_seen_everywhere(place: Place) -> None:
    with Collector() as collector, instance_with(place, collector) as (rt, nonrt):
        collector.refuse = 1  # comes again after Retry-After
        caller = new_trace()
        started = start(nonrt, "short_move", caller)
        info = wait_for_end(nonrt, "short_move")
        assert info["status"] == "COMPLETED"
        assert info["execution_id"] == started["execution_id"]
        segment = place.segment()
        assert segment is not None
        assert position_range(segment) > 0.15

        trace_id = caller.trace_id.hex()
        spans = wait_for(
            lambda: found if len(found := collector.trace(trace_id)) >= 5 else None, "the spans"
        )
        assert len(spans) == 5, "each once"
        check_tree(spans, caller, started["server_span"], ["out", "back"])
        pids = {span.name: span.resource["process.pid"] for span in spans}
        assert pids["task.execute"] == rt.pid
        assert pids[f"POST {TASK}"] == nonrt.pid

        def traced() -> list[dict[str, Any]] | None:
            lines = [line for line in rt_lines(place) if line.get("trace.id") == trace_id]
            codes = [line["event.code"] for line in lines]
            return lines if "TASK_COMPLETED" in codes else None

        lines = wait_for(traced, "log lines with the trace id")
        kept = nonrt.get(f"/api/v1/traces/{trace_id}").json()["spans"]
        assert {span["span_id"] for span in kept} == {span.span_id for span in spans}
        raw = nonrt.get(f"/api/v1/traces/{trace_id}", params={"format": "otlp-json"}).json()
        states = {
            span["name"]: span.get("traceState")
            for resource in raw["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        }
        assert states["task.execute"] == states["action.execute"] == "vendor=1"
        (row,) = nonrt.get("/api/v1/traces", params={"task": "short_move"}).json()["traces"]
        assert row["trace_id"] == trace_id
        shown = subprocess.run(
            [BIN / "mxrc", "trace", "show", trace_id],
            env=place.environ | {"COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()
        assert [line.split()[0] for line in shown[1:]] == [
            "POST", "task.execute", "sequence.run", "action.execute", "action.execute",
        ]  # fmt: skip
        assert "TASK_STARTED" in [line["event.code"] for line in lines]
        ids = {span.span_id for span in spans}
        for line in lines:
            assert line["mxrc.task_id"] == "short_move"
            assert line["span.id"] in ids
            assert line["process.pid"] == rt.pid

        assert nonrt.request("POST", "/api/v1/rt/pause").status_code == 200
        wait_for(
            lambda: (
                (file := newest_checkpoint(place))
                and file.document["rt_state"]["state"] == "PAUSED"
            ),
            "a checkpoint of the new state",
        )
        assert nonrt.request("POST", "/api/v1/rt/resume").status_code == 200
        for running in (rt, nonrt):
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
    assert place.shm_files() == []


def sorting_task(place: Place) -> None:
    """A quick and a slow action, five times a second; the slow one has a threshold of 10 ms."""
    actions = [
        {"name": name, "type": "wait", "parameters": {"duration_s": seconds}}
        for name, seconds in (("look", 0.002), ("grip", 0.06))
    ]
    definition = {
        "id": "sorting",
        "mode": "periodic",
        "period_ms": 200,
        "sequence": {"name": "sort", "actions": actions},
    }
    path = place.config_dir / "tasks" / "sorting.json"
    path.write_text(json.dumps(definition))
    path.chmod(0o640)
    settings = place.config_dir / "tracing_config.json"
    content = json.loads(settings.read_text())
    content["bottlenecks"] = {"thresholds_ms": {"action.execute sorting/*": 10}}
    settings.write_text(json.dumps(content))


def test_a_slow_action_is_named_as_the_bottleneck(place: Place) -> None:
    sorting_task(place)
    with Collector() as collector, instance_with(place, collector) as (_, nonrt):
        caller = new_trace()
        answer = nonrt.request(
            "POST",
            TASK,
            json={"task_id": "sorting", "mode": "periodic"},
            headers=JSON | {"traceparent": format_traceparent(caller)},
        )
        assert answer.status_code == 202, answer.text
        log = place.folder / "log" / "non_rt_process.log"

        def named() -> list[dict[str, Any]] | None:
            lines = log_documents(log)
            # Not "look": where the cycles come late it may pass its threshold too.
            start = "Bottleneck: action.execute sorting/grip takes "
            return [line for line in lines if line["message"].startswith(start)] or None

        (line,) = wait_for(named, "the bottleneck in the log")
        assert line["log.level"] == "error"
        assert caller.trace_id.hex() in line["message"]
        metrics = nonrt.metrics()
        label = "action.execute sorting/grip"
        (sample,) = [
            row
            for row in metrics.splitlines()
            if row.startswith("mxrc_tracing_bottleneck{") and f'operation="{label}"' in row
        ]
        assert f'step="{label}"' in sample


def test_each_process_is_killed_once_on_the_way(place: Place) -> None:
    with Collector() as collector, instance_with(place, collector) as (rt, nonrt):
        caller = new_trace()
        trace_id = caller.trace_id.hex()
        started = start(nonrt, "short_move", caller)
        wait_for(
            lambda: nonrt.get("/api/v1/tasks/short_move").json()["status"] == "RUNNING",
            "the task to run",
        )
        kill(rt)
        with started_rt(place, name="rt2") as second_rt:
            segment = wait_for_state(place, second_rt)
            kill(nonrt)
            with started_nonrt(place, name="nonrt2") as second:
                info = wait_for_end(second, "short_move")
                assert info["status"] == "COMPLETED"
                assert info["execution_id"] == started["execution_id"]
                page = second.get("/api/v1/tasks").json()
                assert page["total"] == 1, "accepted once, run once"

                def complete() -> list[Span] | None:
                    spans = collector.trace(trace_id)
                    return spans if "task.execute" in {span.name for span in spans} else None

                spans = wait_for(complete, "the spans")
                by_id = {span.span_id: span for span in spans}
                names = Counter(span.name for span in by_id.values())
                assert names["task.execute"] == names["sequence.run"] == 1
                assert names["action.execute"] == 2
                for span in by_id.values():
                    # The span of a request is lost when its process dies before it was sent.
                    if span.name == "task.execute":
                        assert span.parent == started["server_span"]
                    elif span.name != f"POST {TASK}":
                        assert span.parent in by_id

                def all_written() -> bool:
                    written = Counter(
                        line["event.sequence"]
                        for line in rt_lines(place)
                        if line.get("mxrc.generation") == segment.generation
                        and "event.sequence" in line
                    )
                    assert not [number for number, count in written.items() if count > 1]
                    return logged_events(segment) <= written.keys()

                wait_for(all_written, "every event of the rings in the log, once")
                codes = [line.get("event.code") for line in rt_lines(place)]
                assert "RECOVERED_STATE" in codes
                checkpoint = newest_checkpoint(place)
                assert checkpoint is not None
                assert checkpoint.document["rt_state"]["generation"] == segment.generation
                for process in ("rt_process", "non_rt_process"):
                    body = second.get("/health", params={"process": process}).json()
                    assert body["restart_count"] == 1, process
                segment.detach()
                for running in (second_rt, second):
                    running.signal(signal.SIGTERM)
                    assert running.wait() == 0, running.output
    assert place.shm_files() == []
