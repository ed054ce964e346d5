"""When the demo starts a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.cli.client import Client
from shared.cli.demo import IDLE_NS, Demo
from shared.cli.errors import RequestRefused, Unavailable
from shared.cli.monitor import Sample
from shared.clock import FakeClock
from shared.config import Config


class FakeClient:
    """Notes what is posted; `error` is raised instead."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, Any]] = []
        self.error: Exception | None = None

    def post(self, path: str, body: Any) -> None:
        if self.error is not None:
            raise self.error
        self.posted.append((path, body))


class Scene:
    def __init__(self) -> None:
        self.client = FakeClient()
        self.clock = FakeClock()
        self.said: list[str] = []
        self.demo = Demo(cast("Config", SimpleNamespace()), self.clock, cast("Client", self.client))

    def look(self, seconds: float = 0.0, **changes: Any) -> int:
        """How many runs have been started after a look at a sample `seconds` later."""
        self.clock.advance(round(seconds * 1e9))
        self.demo.look(cast("Sample", SimpleNamespace(**{**IDLE, **changes})), self.said.append)
        return len(self.client.posted)


IDLE = {"state": "RUNNING", "nonrt_alive": True, "active_tasks": 0, "ports": {"http": 1}}


def test_it_runs_again_whenever_nothing_else_does() -> None:
    scene = Scene()
    assert scene.look() == 1
    assert scene.client.posted == [("/api/v1/task/start", {"task_id": "demo", "mode": "once"})]
    assert scene.look(60, active_tasks=1) == 1
    assert scene.look(0.1) == 1
    assert scene.look(IDLE_NS / 1e9 - 0.2) == 1  # what waits for the axes goes first
    assert scene.look(0.2) == 2
    assert len(scene.said) == 1


@pytest.mark.parametrize(
    "changes", [{"state": "PAUSED"}, {"nonrt_alive": False}, {"active_tasks": 1}, {"ports": {}}]
)
def test_it_waits_until_it_can(changes: dict[str, Any]) -> None:
    scene = Scene()
    assert scene.look(60, **changes) == 0
    assert scene.look() == 1


def test_an_answer_that_does_not_come_is_tried_for_again() -> None:
    scene = Scene()
    scene.client.error = Unavailable("no answer")
    assert scene.look() == 0
    for status in (409, 429, 500, 503, 504):  # 409: the last run is on its way
        scene.client.error = RequestRefused("not now", status)
        assert scene.look(10) == 0
    assert scene.said == []
    scene.client.error = None
    assert scene.look(10) == 1


def test_a_refusal_is_said_and_ends_it() -> None:
    scene = Scene()
    scene.client.error = RequestRefused("no such definition", 404)
    assert scene.look() == 0
    scene.client.error = None
    assert scene.look(60) == 0
    assert scene.said == ["the demo task was not started: no such definition (HTTP 404)"]
