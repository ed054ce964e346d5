"""Tasks with blocks, conditions and recovery, from HTTP to the axes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.helpers import unique_instance
from tests.integration.test_nonrt_process import (
    ANY_TIMING,
    SERVING,
    NonRt,
    started_nonrt,
)
from tests.processes import PATIENCE_S, Place, run_to_end, started_rt, wait_for, wait_for_state

PART_READY = {"key": "cell.part_ready", "value": True}
GIVES_UP: dict[str, Any] = {
    "id": "gives_up",
    "sequence": {
        "name": "s",
        "actions": [
            {
                "name": "part",
                "type": "wait_for",
                "parameters": {"condition": PART_READY},
                "timeout_ms": 100,
                "retries": 1,
                "on_failure": {"recovery": "note"},
            }
        ],
    },
    "recovery": {
        "note": [
            {
                "name": "noted",
                "type": "set_value",
                "parameters": {"key": "parts.placed", "value": 7},
            }
        ]
    },
}

SWINGS: dict[str, Any] = {
    "pattern": "swing_*",
    "sequence": {
        "name": "s",
        "actions": [
            {"name": "short", "type": "wait", "parameters": {"duration_s": 0.05}},
            {
                "name": "go",
                "type": "wait_for",
                "parameters": {"condition": {"event": "test.go", "op": ">", "value": 2.0}},
                "timeout_ms": 60000,
            },
            {"name": "rest", "type": "hold", "parameters": {"duration_s": 0.05}},
        ],
    },
}


@pytest.fixture(scope="module")
def nonrt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonRt]:
    place = Place(unique_instance(), tmp_path_factory.mktemp("blocks"))
    place.environ |= ANY_TIMING
    for name, content in (("gives_up", GIVES_UP), ("swings", SWINGS)):
        path = place.config_dir / "tasks" / f"{name}.json"
        path.write_text(json.dumps(content))
        path.chmod(0o640)
    with started_rt(place) as rt, started_nonrt(place) as running:
        wait_for_state(place, rt)
        running.wait_for_status(*SERVING)
        yield running


def start(nonrt: NonRt, task_id: str, **parameters: Any) -> None:
    body = {"task_id": task_id, "mode": "once", "parameters": parameters}
    answer = nonrt.request("POST", "/api/v1/task/start", json=body)
    assert answer.status_code == 202, answer.text


def state(nonrt: NonRt, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = nonrt.get(f"/api/v1/tasks/{task_id}").json()
    return found


def ended(nonrt: NonRt, task_id: str, seconds: float = PATIENCE_S) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = state(nonrt, task_id)
        return found if found["status"] not in ("PENDING", "RUNNING") else None

    return wait_for(look, f"the end of {task_id}", seconds)


def value(nonrt: NonRt, key: str) -> Any:
    return nonrt.get(f"/api/v1/datastore/{key}").json()["value"]


def set_value(nonrt: NonRt, key: str, to: Any) -> None:
    answer = nonrt.request("PUT", f"/api/v1/datastore/{key}", json={"value": to})
    assert answer.is_success, answer.text


def test_the_inspection_waits_goes_round_and_comes_home(nonrt: NonRt) -> None:
    set_value(nonrt, "cell.temperature", 80.0)
    start(nonrt, "inspect", rounds=1, speed=1.0)
    wait_for(lambda: state(nonrt, "inspect").get("action") == "cool_down", "the wait")
    set_value(nonrt, "cell.temperature", 20.0)
    # Some seconds; on a machine that stands still again and again a move begins as often from rest.
    end = ended(nonrt, "inspect", 120.0)
    assert end["status"] == "COMPLETED", end


def test_a_recovery_runs_and_the_task_fails_with_the_first_error(nonrt: NonRt) -> None:
    assert value(nonrt, "parts.placed") != 7
    start(nonrt, "gives_up")
    end = ended(nonrt, "gives_up")
    assert (end["status"], end["error"]) == ("FAILED", "ERR_TIMEOUT")
    assert value(nonrt, "parts.placed") == 7


def test_a_value_that_a_step_does_not_take_is_refused(nonrt: NonRt) -> None:
    body = {"task_id": "inspect", "mode": "once", "parameters": {"speed": 1.5}}
    answer = nonrt.request("POST", "/api/v1/task/start", json=body)
    assert answer.status_code == 422
    assert "at least 0.05 and at most 1" in answer.text


def post(nonrt: NonRt, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    return nonrt.request("POST", path, json=body or {})


def test_a_task_is_held_and_goes_on_by_an_event_from_outside(nonrt: NonRt) -> None:
    nobody = post(nonrt, "/api/v1/events/no.such.topic", {"value": 3})
    assert (nobody.status_code, nobody.json()["title"]) == (409, "Refused by the RT process")
    start(nonrt, "swing_1")
    wait_for(lambda: state(nonrt, "swing_1").get("action") == "go", "the wait for the event")
    assert 0 < state(nonrt, "swing_1")["progress"] < 100
    held = post(nonrt, "/api/v1/tasks/swing_1/pause")
    assert held.status_code == 200, held.text
    wait_for(lambda: bool(state(nonrt, "swing_1").get("paused")), "the pause")

    # While it is held the axes stay its own: RT has the next one wait for it.
    too_little = post(nonrt, "/api/v1/events/test.go", {"value": 1.0})
    assert too_little.status_code == 200, too_little.text
    assert post(nonrt, "/api/v1/events/test.go", {"value": 3.0}).status_code == 200
    assert state(nonrt, "swing_1")["status"] == "RUNNING"

    assert post(nonrt, "/api/v1/tasks/swing_1/resume").json()["status"] == "RUNNING"
    wait_for(
        lambda: (
            post(nonrt, "/api/v1/events/test.go", {"value": 3.0}).status_code == 409
            or state(nonrt, "swing_1")["status"] == "COMPLETED"
        ),
        "somebody to listen",
    )
    assert ended(nonrt, "swing_1")["status"] == "COMPLETED"
    assert post(nonrt, "/api/v1/tasks/swing_1/pause").json()["title"] == "Task has ended"
    assert post(nonrt, "/api/v1/tasks/nobody/resume").status_code == 404


def test_who_holds_an_axis_is_named(nonrt: NonRt) -> None:
    start(nonrt, "swing_2")
    wait_for(lambda: state(nonrt, "swing_2").get("action") == "go", "the first")
    start(nonrt, "swing_3")
    assert wait_for(lambda: state(nonrt, "swing_3").get("waiting_for"), "its wait") == ["swing_2"]
    assert nonrt.request("DELETE", "/api/v1/tasks/swing_2").status_code == 202
    wait_for(lambda: state(nonrt, "swing_3").get("action") == "go", "the second")
    assert nonrt.request("DELETE", "/api/v1/tasks/swing_3").status_code == 202
    assert ended(nonrt, "swing_3")["status"] == "CANCELLED"


def test_a_definition_is_added_started_and_removed_by_command(nonrt: NonRt) -> None:
    def run(*words: str) -> str:
        done = run_to_end(nonrt.place, "mxrc", "task", *words)
        assert done.returncode == 0, done.stdout + done.stderr + nonrt.output
        return done.stdout

    path = nonrt.place.folder / "brief.json"
    content = {**SWINGS, "id": "brief", "mode": "once", "sequence": {"name": "s", "actions": []}}
    del content["pattern"]
    content["sequence"]["actions"] = [SWINGS["sequence"]["actions"][0]]
    path.write_text(json.dumps(content))
    path.chmod(0o640)
    run("add", str(path))
    assert "brief" in run("definitions")
    run("start", "brief", "--watch")
    assert state(nonrt, "brief")["status"] == "COMPLETED"
    assert nonrt.request("POST", "/api/v1/tasks", json=content).status_code == 409
    run("remove", "brief")
    assert nonrt.get("/api/v1/task-definitions/brief").status_code == 404
