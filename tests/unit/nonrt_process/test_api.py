"""The HTTP API without sockets: guards, problems, traces, endpoints."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, Request
from pydantic import SecretStr
from starlette.testclient import TestClient

import nonrt_process
from nonrt_process.api.app import make_app
from nonrt_process.api.guards import Guards, host_name, is_our_host
from nonrt_process.application import Application
from nonrt_process.interfaces import (
    Problem,
    QueueFull,
    SamplingGovernor,
    ServerTracer,
    current_trace,
)
from shared.clock import FakeClock
from shared.config.models.datastore import DataStoreConfig, DataStoreKey
from shared.core import lib
from shared.datastore import DataStore, fill_directory
from shared.segment import Segment
from shared.trace_context import TraceContext
from tests.unit.nonrt_process.fakes import (
    FakeHeart,
    become_primary,
    fake_context,
    real_segment,
)

JSON = {"Content-Type": "application/json"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
KEYS = DataStoreConfig(
    keys=(
        DataStoreKey(name="speed", type="double", unit="m/s", writer="nonrt", min=0, max=2),
        DataStoreKey(name="count", type="int64", writer="nonrt"),
        DataStoreKey(name="pose", type="double[3]", writer="nonrt"),
        DataStoreKey(name="on", type="bool", writer="nonrt"),
        DataStoreKey(name="closed", type="bool", writer="rt"),
    )
)


def extra_router() -> APIRouter:
    """Endpoints of a plugin."""
    router = APIRouter(prefix="/api/v1/extra")

    @router.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret detail")

    @router.post("/full")
    def full() -> None:
        raise QueueFull("10000 tasks wait", retry_after_s=7)

    @router.post("/trace/{item}")
    def trace(item: str, request: Request) -> dict[str, str]:
        context = current_trace(request)
        return {"trace_id": context.trace_id.hex(), "span_id": context.span_id.hex()}

    return router


@dataclass
class Api:
    client: TestClient
    app: Application
    rt: Segment

    def configure(self, **changes: Any) -> None:
        """Put other values of api.json in force, as a restart would."""
        current = self.app.context.config.current
        token = changes.pop("token", None)
        api = current.api.model_copy(update=changes)
        self.app.context.config._current = replace(current, api=api, api_token=token)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with real_segment(tmp_path, fill=lambda rt: fill_directory(rt, KEYS), data_keys=5) as (
        rt,
        nonrt,
    ):
        config = fake_context(tmp_path).config.current
        clock = FakeClock(monotonic_ns=int(lib.mxrc_now_ns()))
        become_primary(rt, heartbeat_ns=clock.monotonic_ns())
        heart = FakeHeart(clock, nonrt)
        modules = ["nonrt_process.health.plugin", "nonrt_process.api.plugin"]
        app = Application(config, heart, clock, modules=modules)
        app.plugins()[0].start()
        routers = [router for plugin in app.plugins() for router in plugin.routers]
        asgi = make_app(app.context, [*routers, extra_router()])
        client = TestClient(asgi, base_url="http://127.0.0.1:8080", raise_server_exceptions=False)
        yield Api(client, app, rt)
        heart.segment = None


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem document of an answer, which has all the members of RFC 9457."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["instance"].startswith("/")
    return document


# ---- guards ----


def test_a_refused_body_is_read_off() -> None:
    """Else closing the connection resets it, and the client may lose the answer."""
    parts = [{"type": "http.request", "body": b"x", "more_body": more} for more in (True, False)]
    sent: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append((message, len(parts)))

    async def never(*_: Any) -> None:
        raise AssertionError("the application was asked")

    guards = Guards(never, own_hosts=lambda: (), token=lambda: None, max_bytes=lambda: 100)
    headers = [(b"host", b"localhost"), (b"content-type", b"text/plain")]
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": headers}
    asyncio.run(guards(scope, receive, send))
    assert (sent[0][0]["status"], sent[0][1]) == (415, 0)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_a_change_needs_json(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    problem(api.client.post("/api/v1/rt/pause", headers=headers, content=b"{}"), 415)
    problem(api.client.put("/api/v1/log-level", headers=headers, content=b"{}"), 415)
    problem(api.client.delete("/api/v1/tasks/x", headers=headers), 415)


def test_json_with_a_charset_is_json(api: Api) -> None:
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    answer = api.client.put("/api/v1/log-level", headers=headers, content=b'{"level": "warn"}')
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "",
        "a b",
    ],
)
def test_a_foreign_host_is_refused(api: Api, host: str) -> None:
    problem(api.client.put("/api/v1/log-level", headers={**JSON, "Host": host}, json={}), 403)
    problem(api.client.get("/api/v1/datastore", headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:18080", "[::1]:8080"])
def test_a_loopback_host_is_ours_on_any_port(api: Api, host: str) -> None:
    assert api.client.get("/api/v1/datastore", headers={"Host": host}).status_code == 200


def test_a_probe_may_use_any_name_for_health(api: Api) -> None:
    assert api.client.get("/health", headers={"Host": "robot-7.plant"}).status_code == 200


def test_a_configured_name_is_ours(api: Api) -> None:
    headers = {"Host": "robot-7.plant:8080"}
    problem(api.client.get("/api/v1/datastore", headers=headers), 403)
    api.configure(allowed_hosts=("Robot-7.plant",))
    assert api.client.get("/api/v1/datastore", headers=headers).status_code == 200


def test_a_page_of_another_origin_is_refused(api: Api) -> None:
    headers = {**JSON, "Origin": "http://evil.example"}
    problem(api.client.put("/api/v1/log-level", headers=headers, json={}), 403)
    own = {**JSON, "Origin": "http://127.0.0.1:8080"}
    assert api.client.put("/api/v1/log-level", headers=own, json={}).status_code == 200
    problem(api.client.put("/api/v1/log-level", headers={**JSON, "Origin": "null"}, json={}), 403)


def test_hosts_by_address_only_where_the_connection_came_in() -> None:
    assert is_our_host("10.0.0.5", [], "10.0.0.5")
    assert not is_our_host("10.0.0.6", [], "10.0.0.5")
    assert not is_our_host("robot", [], "10.0.0.5")
    assert host_name("[::1]:80") == "::1"
    assert host_name("a:b:c") is None
    assert host_name("x:99999") is None


def test_a_token_is_needed_for_changes_once_configured(api: Api) -> None:
    api.configure(token=SecretStr("correct horse battery"))
    url = "/api/v1/log-level"
    for value in (None, "Bearer wrong", "Basic correct horse battery", "Bearer ", "Bearer é"):
        headers = dict(JSON) if value is None else {**JSON, "Authorization": value.encode()}
        answer = api.client.put(url, headers=headers, json={})
        problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    headers = {**JSON, "Authorization": "Bearer correct horse battery"}
    assert api.client.put(url, headers=headers, json={}).status_code == 200
    assert api.client.get(url).status_code == 200


def test_a_body_is_bounded_with_and_without_its_length(api: Api) -> None:
    api.configure(max_request_bytes=1024)
    url = "/api/v1/log-level"
    problem(api.client.put(url, headers=JSON, content=b" " * 1025), 413)

    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield b" " * 300

    problem(api.client.put(url, headers=JSON, content=chunks()), 413)
    body = b'{"level": "info"}'.ljust(1024)
    assert api.client.put(url, headers=JSON, content=body).status_code == 200


# ---- problems ----


def test_every_error_is_a_problem_document(api: Api) -> None:
    problem(api.client.get("/nope"), 404)
    problem(api.client.get("/api/v1/rt/pause"), 405)
    problem(api.client.post("/api/v1/rt/explode", headers=JSON), 422)
    broken = problem(api.client.get("/api/v1/extra/broken"), 500)
    assert "secret" not in str(broken)
    invalid = problem(api.client.put("/api/v1/log-level", headers=JSON, content=b'{"level":'), 422)
    assert invalid["detail"].startswith("body: not JSON")
    wrong = problem(api.client.put("/api/v1/log-level", headers=JSON, json={"level": "loud"}), 422)
    assert wrong["errors"][0]["field"] == "body.level"
    for minutes in (True, "5"):
        body = {"level": "info", "minutes": minutes}
        problem(api.client.put("/api/v1/log-level", headers=JSON, json=body), 422)
    for pid in (True, "5"):
        problem(api.client.post("/api/v1/rt/failover", headers=JSON, json={"to": pid}), 422)
    extra = problem(api.client.put("/api/v1/log-level", headers=JSON, json={"lvl": "info"}), 422)
    assert "lvl" in extra["detail"]


def test_a_full_queue_says_when_to_come_again(api: Api) -> None:
    answer = api.client.post("/api/v1/extra/full", headers=JSON)
    problem(answer, 429)
    assert answer.headers["retry-after"] == "7"


def subclasses(kind: type[Problem]) -> Iterator[type[Problem]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def test_every_503_says_when_to_come_again(api: Api) -> None:
    """Of all problems that a handler may raise, and of the checks of health."""
    for module in pkgutil.walk_packages(nonrt_process.__path__, "nonrt_process."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = [kind for kind in subclasses(Problem) if kind.status == 503]
    assert len(found) > 5
    for kind in found:
        assert int(kind("why").headers["Retry-After"]) >= 1, kind
    for operations in api.client.get("/openapi.json").json()["paths"].values():
        for operation in operations.values():
            for status in {"429", "503"} & set(operation["responses"]):
                assert operation["responses"][status]["headers"]["Retry-After"]["required"]


# ---- traces ----


def test_a_trace_is_carried_on(api: Api) -> None:
    headers = {**JSON, "traceparent": PARENT, "tracestate": "a=1", "baggage": "user=7"}
    answer = api.client.post("/api/v1/extra/trace/x", headers=headers)
    assert answer.json()["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", answer.json()["trace_id"], "01")
    assert span_id == answer.json()["span_id"] != "b7ad6b7169203331"
    assert answer.headers["tracestate"] == "a=1"
    assert answer.headers["baggage"] == "user=7"


def test_without_a_valid_parent_a_trace_begins(api: Api) -> None:
    ids = {
        api.client.post("/api/v1/extra/trace/x", headers={**JSON, "traceparent": parent}).json()[
            "trace_id"
        ]
        for parent in ("", "garbage", PARENT.replace("0af7", "ZZZZ"))
    }
    assert len(ids) == 3
    assert "0" * 32 not in ids


@dataclass
class FakeSpan:
    context: TraceContext
    ended: list[tuple[str | None, int, str | None]] = field(default_factory=list)

    def end(self, route: str | None, status_code: int, error: BaseException | None = None) -> None:
        self.ended.append((route, status_code, None if error is None else str(error)))


@dataclass
class FakeTracer:
    spans: list[FakeSpan] = field(default_factory=list)
    started: list[tuple[str, str, TraceContext | None]] = field(default_factory=list)

    def start(
        self,
        method: str,
        path: str,
        parent: TraceContext | None,
        attributes: Mapping[str, Any],
        tracestate: str = "",
    ) -> FakeSpan:
        assert attributes["http.request.method"] == method
        self.started.append((method, path, parent))
        span = FakeSpan(TraceContext(bytes([7] * 16), bytes([len(self.spans) + 1] * 8), 1))
        self.spans.append(span)
        return span


def test_the_tracer_makes_the_server_spans(api: Api) -> None:
    tracer = FakeTracer()
    api.app.context.provide(ServerTracer, tracer)
    answer = api.client.post("/api/v1/extra/trace/x", headers={**JSON, "traceparent": PARENT})
    assert answer.json() == {"trace_id": "07" * 16, "span_id": "01" * 8}
    method, path, parent = tracer.started[0]
    assert (method, path) == ("POST", "/api/v1/extra/trace/x")
    assert parent is not None
    assert parent.span_id.hex() == "b7ad6b7169203331"
    assert tracer.spans[0].ended == [("/api/v1/extra/trace/{item}", 200, None)]
    api.client.get("/nope")
    api.client.get("/api/v1/extra/broken")
    assert tracer.spans[1].ended == [(None, 404, None)]
    assert tracer.spans[2].ended[0][:2] == ("/api/v1/extra/broken", 500)
    api.client.get("/health")
    assert len(tracer.spans) == 3


# ---- endpoints ----


def test_health_endpoints(api: Api) -> None:
    health = api.client.get("/health")
    assert health.status_code == 200
    body = health.json()
    assert set(body) == {
        "status",
        "process_name",
        "pid",
        "last_heartbeat",
        "response_time_ms",
        "cpu_usage_percent",
        "memory_usage_mb",
        "deadline_miss_count",
        "restart_count",
        "error_message",
    }
    assert (body["status"], body["process_name"], body["error_message"]) == (
        "HEALTHY",
        "rt_process",
        "",
    )
    assert body["last_heartbeat"].endswith("Z")
    other = api.client.get("/health", params={"process": "non_rt_process"})
    assert other.json()["status"] == "STARTING"  # this application was never started
    assert other.status_code == 503
    problem(api.client.get("/health", params={"process": "nobody"}), 422)
    ready = api.client.get("/health/ready")
    assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
    assert ready.json()["details"]["non_rt_process.lifecycle"] is False
    assert ready.json()["details"]["rt_process.heartbeat"] is True
    live = api.client.get("/health/live").json()
    assert live["alive"] is True
    assert live["uptime_seconds"] >= 0


def test_details_have_every_field_for_both(api: Api) -> None:
    for process in ("rt_process", "non_rt_process"):
        body = api.client.get("/health/details", params={"process": process}).json()
        assert set(body["process_info"]) == {"name", "pid", "start_time", "uptime_seconds"}
        assert set(body["cpu_affinity"]) == {"configured_cores", "current_core", "isolation_mode"}
        assert set(body["numa_binding"]) == {"numa_node", "memory_policy", "local_memory_percent"}
        assert set(body["failover"]) == {
            "restart_count",
            "last_checkpoint",
            "checkpoint_age_seconds",
        }
        performance = body["rt_performance"]
        assert (performance is None) == (process == "non_rt_process")
        assert body["process_info"]["pid"] > 0


def test_unhealthy_is_503_and_says_why(api: Api) -> None:
    api.rt.rt_status.heartbeat_ns = 1
    answer = api.client.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["status"] == "UNHEALTHY"
    assert "ms old" in answer.json()["error_message"]


def test_without_rt_every_endpoint_answers(api: Api) -> None:
    api.app.context.heart.segment = None  # type: ignore[misc]
    assert api.client.get("/health").status_code == 503
    assert api.client.get("/health/details").json()["process_info"]["pid"] is None
    problem(api.client.get("/api/v1/rt"), 503)
    problem(api.client.post("/api/v1/rt/start", headers=JSON), 503)
    problem(api.client.get("/api/v1/datastore"), 503)
    assert api.client.get("/api/v1/log-level").status_code == 200
    assert api.client.get("/").status_code == 200


def test_state_of_rt(api: Api) -> None:
    body = api.client.get("/api/v1/rt").json()
    assert (body["state"], body["role"], body["alive"]) == ("RUNNING", "PRIMARY", True)
    assert body["jitter_mean_us"] is None


def test_datastore(api: Api) -> None:
    url = "/api/v1/datastore"
    assert [key["key"] for key in api.client.get(url).json()["keys"]] == [
        key.name for key in KEYS.keys
    ]
    taken: dict[str, Any] = {"speed": 1.5, "count": -3, "pose": [1, 2.5, 3], "on": True}
    for key, value in taken.items():
        answer = api.client.put(f"{url}/{key}", headers=JSON, json={"value": value})
        assert answer.json()["value"] == value
        assert answer.json()["written"] is not None
        assert api.client.get(f"{url}/{key}").json() == answer.json()
    assert DataStore(api.rt).read("speed").value == 1.5
    problem(api.client.get(f"{url}/nope"), 404)
    problem(api.client.put(f"{url}/nope", headers=JSON, json={"value": 1}), 404)
    problem(api.client.put(f"{url}/closed", headers=JSON, json={"value": True}), 403)
    wrong: list[tuple[str, Any]] = [("speed", 2.5), ("speed", True), ("count", 1.5), ("on", 1)]
    for key, value in [*wrong, ("pose", [1])]:
        refused = api.client.put(f"{url}/{key}", headers=JSON, json={"value": value})
        assert "must be" in problem(refused, 422)["detail"]
    assert DataStore(api.rt).read("speed").value == 1.5


def test_settings(api: Api) -> None:
    changed = api.client.put("/api/v1/log-level", headers=JSON, json={"loggers": {"rt": "error"}})
    assert changed.json().items() >= {"level": "info", "loggers": {"rt": "error"}}.items()
    body = {"rt_cycle_sampling_rate": 1}
    sampling = api.client.put("/api/v1/tracing/sampling", headers=JSON, json=body)
    assert sampling.json()["rt_cycle_sampling_rate"] == 1
    assert api.rt.control.sample_all & 2
    assert sampling.json()["governor_factor"] == 1
    api.app.context.provide(SamplingGovernor, SimpleNamespace(factor=0.25))
    shown = api.client.get("/api/v1/tracing/sampling").json()
    assert (shown["task_sampling_rate"], shown["rt_cycle_sampling_rate"]) == (1, 1)
    assert shown["governor_factor"] == 0.25
    assert shown["in_force"]["task_sampling_rate"] == 0.25
    assert shown["in_force"]["rt_cycle_sampling_rate"] == 0.25
    assert shown["in_force"]["sampling_rate"] == shown["sampling_rate"] / 4
    for wrong in ({"sampling_rate": -0.1}, {"sampling_rate": "1"}, {"rate": 1}):
        problem(api.client.put("/api/v1/tracing/sampling", headers=JSON, json=wrong), 422)


# ---- documents ----


def test_openapi_says_what_is_so(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    paths = document["paths"]
    assert {"/health", "/api/v1/rt/{event}", "/api/v1/datastore/{key}"} <= set(paths)
    assert "HTTPValidationError" not in str(document)
    responses = paths["/api/v1/log-level"]["put"]["responses"]
    assert {"200", "401", "403", "413", "415", "422", "431"} <= set(responses)
    reference = responses["422"]["content"]["application/problem+json"]["schema"]["$ref"]
    assert reference.rpartition("/")[2] in document["components"]["schemas"]


def test_the_operators_page_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = api.client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "src=" not in answer.text
