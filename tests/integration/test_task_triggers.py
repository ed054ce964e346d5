"""Triggered tasks, from a key that is written over HTTP to the runs that it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.helpers import unique_instance
from tests.integration.test_nonrt_process import (
    ANY_TIMING,
    SERVING,
    NonRt,
    started_nonrt,
)
from tests.integration.test_task_blocks import ended, set_value, state
from tests.processes import Place, kill, started_rt, wait_for, wait_for_state

PART = "cell.part_ready"
WARM = "cell.temperature"
REARM_MS = 200


def triggered(task_id: str, seconds: float, **trigger: Any) -> dict[str, Any]:
    wait = {"name": "w", "type": "wait", "parameters": {"duration_s": seconds}}
    return {
        "id": task_id,
        "mode": "triggered",
        "trigger": trigger,
        "sequence": {"name": "s", "actions": [wait]},
    }


TASKS = (
    triggered("part_brief", 0.02, key=PART, value=True, on="edge"),
    triggered("part_long", 1.0, key=PART, value=True, on="edge"),
    triggered("warm", 0.02, key=WARM, op=">", value=60.0, on="level", rearm_ms=REARM_MS),
)


@pytest.fixture(scope="module")
def nonrt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonRt]:
    place = Place(unique_instance(), tmp_path_factory.mktemp("triggers"))
    place.environ |= ANY_TIMING
    for content in TASKS:
        path = place.config_dir / "tasks" / f"{content['id']}.json"
        path.write_text(json.dumps(content))
        path.chmod(0o640)
    with started_nonrt(place) as running:
        yield running


class Rt:
    """The RT process that runs now."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self._place = place
        self._stack = stack
        self._starts = 0
        self.start()

    def start(self) -> None:
        self._starts += 1
        self._running = self._stack.enter_context(started_rt(self._place, name=f"rt{self._starts}"))
        wait_for_state(self._place, self._running)

    def kill(self) -> None:
        kill(self._running)


@pytest.fixture(scope="module")
def rt(nonrt: NonRt) -> Iterator[Rt]:
    with ExitStack() as stack:
        made = Rt(nonrt.place, stack)
        nonrt.wait_for_status(*SERVING)
        yield made


def start(nonrt: NonRt, task_id: str) -> None:
    body = {"task_id": task_id, "mode": "triggered"}
    answer = nonrt.request("POST", "/api/v1/task/start", json=body)
    assert answer.status_code == 202, answer.text
    wait_for(lambda: runs(nonrt, task_id) is not None, f"RT to have {task_id}")


def runs(nonrt: NonRt, task_id: str) -> int | None:
    """Runs that have ended; None: RT has it not."""
    return state(nonrt, task_id).get("runs")


def settled(nonrt: NonRt, task_id: str) -> int | None:
    """Runs that have ended, once two looks at RT find the same."""
    before = runs(nonrt, task_id)
    time.sleep(0.3)
    return before if runs(nonrt, task_id) == before else None


def cycle(nonrt: NonRt) -> int:
    return int(nonrt.get("/api/v1/rt").json()["cycle"])


def pass_cycles(nonrt: NonRt, count: int) -> None:
    first = cycle(nonrt)
    wait_for(lambda: cycle(nonrt) >= first + count, f"{count} cycles")


def wait_for_runs(nonrt: NonRt, task_id: str, count: int) -> None:
    wait_for(lambda: (runs(nonrt, task_id) or 0) >= count, f"run {count} of {task_id}")


def cancel(nonrt: NonRt, task_id: str) -> dict[str, Any]:
    assert nonrt.request("DELETE", f"/api/v1/tasks/{task_id}").status_code == 202
    return ended(nonrt, task_id)


def test_an_edge_fires_once_whatever_becomes_of_rt(nonrt: NonRt, rt: Rt) -> None:
    edges = ("part_brief", "part_long")

    def fired() -> list[int | None]:
        return [runs(nonrt, task_id) for task_id in edges]

    set_value(nonrt, PART, True)
    for task_id in edges:
        start(nonrt, task_id)
    pass_cycles(nonrt, 100)
    assert fired() == [0, 0], "true from the beginning is no edge"
    assert state(nonrt, "part_long")["status"] == "PENDING"

    set_value(nonrt, PART, False)
    pass_cycles(nonrt, 20)
    set_value(nonrt, PART, True)
    wait_for_runs(nonrt, "part_brief", 1)
    wait_for(lambda: state(nonrt, "part_long")["status"] == "RUNNING", "its first run")
    rt.kill()
    rt.start()
    wait_for_runs(nonrt, "part_long", 1)
    pass_cycles(nonrt, 100)
    assert fired() == [1, 1], "the key is true all the while: that is no second edge"

    set_value(nonrt, PART, False)
    pass_cycles(nonrt, 20)
    rt.kill()
    set_value(nonrt, PART, True)  # RT is away
    rt.start()
    for task_id in edges:
        wait_for_runs(nonrt, task_id, 2)
    pass_cycles(nonrt, 100)
    assert fired() == [2, 2], "an edge that came while RT was away fires, once"

    for task_id in edges:
        end = cancel(nonrt, task_id)
        assert (end["status"], end["mode"]) == ("CANCELLED", "triggered")
    history = nonrt.get("/api/v1/tasks", params={"status": "CANCELLED"}).json()["tasks"]
    assert {row["task_id"] for row in history if row["started_at"]} >= set(edges)


def test_a_level_fires_again_while_it_holds(nonrt: NonRt, rt: Rt) -> None:
    schedule = json.loads((nonrt.place.config_dir / "rt_schedule.json").read_text())
    rearm = REARM_MS * 1000 // schedule["period_us"]
    set_value(nonrt, WARM, 20.0)
    start(nonrt, "warm")
    pass_cycles(nonrt, 50)
    assert runs(nonrt, "warm") == 0

    began = cycle(nonrt)
    set_value(nonrt, WARM, 80.0)
    wait_for_runs(nonrt, "warm", 3)
    assert cycle(nonrt) >= began + 2 * rearm, "rearm_ms lies between the begins of two runs"

    set_value(nonrt, WARM, 20.0)
    pass_cycles(nonrt, rearm)  # the run in progress ends
    held = wait_for(lambda: settled(nonrt, "warm"), "the end of the run in progress")
    pass_cycles(nonrt, 2 * rearm)
    assert runs(nonrt, "warm") == held, "the level is over"

    set_value(nonrt, WARM, 80.0)
    wait_for_runs(nonrt, "warm", held + 2)
    assert cancel(nonrt, "warm")["status"] == "CANCELLED"
