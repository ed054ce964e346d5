from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from nonrt_process.api.app import make_app
from nonrt_process.tasks.router import make_router
from shared.trace_context import parse_traceparent
from tests.unit.nonrt_process.tasks.system import System, system

START = "/api/v1/task/start"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[System, TestClient]]:
    with system(tmp_path, limit=3) as it:
        app = make_app(it.context, [make_router(it.tasks)])
        with TestClient(app, base_url="http://127.0.0.1") as client:
            yield it, client


def start(client: TestClient, **body: Any) -> Any:
    return client.post(START, json={"mode": "once", **body})


def test_start_and_look(served: tuple[System, TestClient]) -> None:
    it, client = served
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = client.post(
        START,
        json={"task_id": "wait_1", "mode": "once"},
        headers={"traceparent": parent, "tracestate": "v=1", "baggage": "user=7"},
    )
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"task_id", "execution_id", "trace_id"}
    assert body["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert (answer.headers["tracestate"], answer.headers["baggage"]) == ("v=1", "user=7")
    returned = parse_traceparent(answer.headers["traceparent"])
    (execution,) = it.book.active()
    assert execution.trace == returned, "what RT starts is a child of the request's span"
    assert (execution.tracestate, execution.baggage) == ("v=1", "user=7")
    it.settle()
    task = client.get("/api/v1/tasks/wait_1").json()
    assert task["status"] == "COMPLETED"
    assert client.get("/api/v1/tasks").json()["tasks"] == [task]


def test_without_a_traceparent_a_trace_begins(served: tuple[System, TestClient]) -> None:
    _, client = served
    answer = start(client, task_id="wait_1")
    returned = parse_traceparent(answer.headers["traceparent"])
    assert returned is not None
    assert returned.trace_id.hex() == answer.json()["trace_id"]
    assert returned.sampled, "config/ samples every task"


def test_refusals(served: tuple[System, TestClient]) -> None:
    _, client = served

    def problem(status: int, **body: Any) -> Any:
        answer = start(client, **body)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["status"] == status
        assert document["detail"]
        return answer

    problem(404, task_id="nothing")
    problem(422, task_id="wait_1", mode="sometimes")
    problem(422, task_id="../etc/passwd")
    problem(422, task_id="x" * 64)
    problem(422, task_id="")
    problem(422, task_id=7)
    problem(422, task_id="wait_1", surprise=1)
    problem(422, task_id="wait_1", mode="periodic")
    problem(422, task_id="exact", parameters={"nope": 1})
    problem(422, task_id="exact", parameters={"speed": [1]})
    assert start(client, task_id="wait_1").status_code == 202
    assert problem(409, task_id="wait_1").json()["execution_id"] > 0
    start(client, task_id="wait_2")
    start(client, task_id="wait_3")
    full = problem(429, task_id="wait_4")
    assert int(full.headers["retry-after"]) >= 1


def test_a_start_is_guarded_and_answered_as_every_other_request(
    served: tuple[System, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although it passes FastAPI by."""
    it, client = served
    json_type = {"Content-Type": "application/json"}

    def problem(status: int, answer: Any) -> Any:
        assert answer.status_code == status, answer.text
        document = answer.json()
        assert (document["status"], document["instance"]) == (status, START)
        assert {"traceparent", "x-request-id"} <= set(answer.headers)
        return document

    largest = it.context.config.current.api.max_request_bytes
    pieces = (b" " * 65536 for _ in range(largest // 65536 + 2))
    problem(413, client.post(START, headers=json_type, content=pieces))
    problem(413, client.post(START, headers=json_type, content=b" " * (largest + 1)))
    problem(415, client.post(START, content=b"{}"))
    problem(403, client.post(START, headers={**json_type, "Host": "evil.example"}, content=b"{}"))
    problem(422, client.post(START, headers={**json_type, "Idempotency-Key": "a b"}, content=b"{}"))
    for body, where in (
        (b'{"task_id": "wait_1", "mode":', "body"),
        (b"\xff", "body"),
        (b"[" * 100_000, "body"),
        (b"[]", "body"),
        (b'{"mode": "once"}', "body.task_id"),
    ):
        document = problem(422, client.post(START, headers=json_type, content=body))
        assert document["errors"][0]["field"] == where
    answer = client.get(START)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    parts = (b'{"task_id": "wait_1", ', b'"mode": "once"}')
    assert client.post(START, headers=json_type, content=iter(parts)).status_code == 202

    def broken(*_arguments: Any, **_more: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(it.tasks, "start", broken)
    with pytest.raises(RuntimeError):  # as FastAPI: answered, then told to the server and the span
        start(client, task_id="wait_2")
    quiet = TestClient(client.app, "http://127.0.0.1", raise_server_exceptions=False)
    assert "secret" not in str(problem(500, start(quiet, task_id="wait_2")))


def test_cancel(served: tuple[System, TestClient]) -> None:
    it, client = served
    json_type = {"Content-Type": "application/json"}
    assert client.delete("/api/v1/tasks/wait_1", headers=json_type).status_code == 404
    start(client, task_id="long_1")
    it.work(3)
    answer = client.delete("/api/v1/tasks/long_1", headers=json_type)
    assert answer.status_code == 202
    assert answer.json()["cancel_requested"] is True
    it.settle()
    assert client.delete("/api/v1/tasks/long_1", headers=json_type).status_code == 409


def test_pages(served: tuple[System, TestClient]) -> None:
    _, client = served
    start(client, task_id="wait_1")
    page = client.get("/api/v1/tasks", params={"status": "PENDING", "limit": 1}).json()
    assert (page["total"], page["limit"], len(page["tasks"])) == (1, 1, 1)
    for bad in ({"limit": 0}, {"limit": 5000}, {"offset": -1}, {"status": "DONE"}):
        assert client.get("/api/v1/tasks", params=bad).status_code == 422


def test_without_an_rt_process(served: tuple[System, TestClient]) -> None:
    it, client = served
    it.context.heart.segment = None
    assert start(client, task_id="wait_1").status_code == 503


def test_the_document_names_every_answer(served: tuple[System, TestClient]) -> None:
    _, client = served
    paths = client.get("/openapi.json").json()["paths"]
    assert {"202", "404", "409", "422", "429", "503"} <= set(paths[START]["post"]["responses"])
    assert {"202", "404", "409"} <= set(paths["/api/v1/tasks/{task_id}"]["delete"]["responses"])
