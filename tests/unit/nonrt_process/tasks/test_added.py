"""Definitions over HTTP: checked, kept, listed, replaced, deleted; files win."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from nonrt_process.api.app import make_app
from nonrt_process.tasks import added as module
from nonrt_process.tasks.added import AddedDefinitions
from nonrt_process.tasks.definition_router import make_definition_router
from nonrt_process.tasks.router import make_router
from nonrt_process.tasks.service import Tasks
from tests.unit.nonrt_process.tasks.system import System, define, system, wait

LOG = logging.getLogger("test.added")
JSON = {"Content-Type": "application/json"}


def document(key: str = "mine", seconds: float = 0.002, **more: Any) -> dict[str, Any]:
    name = "pattern" if "*" in key else "id"
    steps = [{"name": "w", "type": "wait", "parameters": {"duration_s": seconds}}]
    return {name: key, "sequence": {"name": "s", "actions": steps}, **more}


class Served:
    """A system with its HTTP, and the folder that its definitions are in."""

    def __init__(self, it: System, folder: Path) -> None:
        self.it, self.folder = it, folder
        self.open()

    def open(self) -> None:
        """As at a start of the process."""
        it = self.it
        self.added = AddedDefinitions(
            self.folder,
            lambda: it.context.config.current,
            lambda key: [one.task_id for one in it.book.active() if one.definition == key],
            LOG,
        )
        self.added.load()
        it.tasks = Tasks(it.context, it.book, it.journal, LOG, self.added)
        routers = [make_router(it.tasks), make_definition_router(self.added)]
        self.client = TestClient(make_app(it.context, routers), base_url="http://127.0.0.1")

    def post(self, content: Any) -> Any:
        return self.client.post("/api/v1/tasks", json=content)

    def put(self, key: str, content: Any) -> Any:
        return self.client.put(f"/api/v1/task-definitions/{key}", json=content)

    def delete(self, key: str) -> Any:
        return self.client.delete(f"/api/v1/task-definitions/{key}", headers=JSON)

    def start(self, task_id: str, **body: Any) -> Any:
        body = {"task_id": task_id, "mode": "once", **body}
        return self.client.post("/api/v1/task/start", json=body)

    def listed(self) -> dict[str, Any]:
        page = self.client.get("/api/v1/task-definitions").json()
        assert page["total"] == len(page["definitions"])
        return {one["key"]: one for one in page["definitions"] if one["source"] == "api"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with system(tmp_path) as it:
        yield Served(it, tmp_path / "definitions")


def test_one_is_added_runs_and_lasts(served: Served) -> None:
    assert served.start("mine").status_code == 404
    answer = served.post(document())
    assert answer.status_code == 201, answer.text
    assert answer.json()["document"] == document()
    (path,) = served.folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert served.start("mine").status_code == 202
    served.it.settle()
    assert served.client.get("/api/v1/tasks/mine").json()["status"] == "COMPLETED"

    served.open()
    assert list(served.listed()) == ["mine"]
    assert served.start("mine").status_code == 202
    served.it.settle()


def test_patterns_serve_the_ids_that_they_match(served: Served) -> None:
    assert served.post(document("mine_*")).status_code == 201
    assert served.start("mine_7").status_code == 202
    assert served.delete("mine_%2A").status_code == 409
    served.it.settle()
    assert served.delete("mine_%2A").status_code == 200
    assert served.start("mine_8").status_code == 404
    assert list(served.folder.iterdir()) == []


def test_what_is_wrong_is_said_with_its_place_and_nothing_is_kept(served: Served) -> None:
    bad = document()
    bad["sequence"]["actions"][0]["parameters"]["duration_s"] = -1
    answer = served.post(bad)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["field"] == "$.sequence.actions[0].parameters.duration_s"
    assert (error["step"], error["value"]) == ("w", "-1")
    twice = served.client.post("/api/v1/tasks", content=b'{"id": "a", "id": "b"}', headers=JSON)
    assert twice.status_code == 422
    assert served.post([1]).status_code == 422
    assert served.client.post("/api/v1/tasks", content=b"{", headers=JSON).status_code == 422
    assert served.listed() == {}
    assert not served.folder.exists()


def test_files_win(served: Served) -> None:
    assert served.post(document("exact")).status_code == 409
    assert served.put("exact", document("exact")).status_code == 409
    assert served.delete("exact").status_code == 409
    # A file that comes to be there later hides what was added.
    assert served.post(document("late", seconds=5.0)).status_code == 201
    config = served.it.context.config.current
    tasks = {**config.tasks, "late": define("late", wait("file"))}
    served.it.context.config.propose(replace(config, tasks=tasks))
    assert "hidden" in served.listed()["late"]["error"]
    assert served.start("late").status_code == 202
    served.it.settle()
    assert served.client.get("/api/v1/tasks/late").json()["status"] == "COMPLETED"


def test_one_is_replaced_but_not_under_a_task_that_runs_it(served: Served) -> None:
    assert served.post(document(seconds=5.0)).status_code == 201
    assert served.post(document()).status_code == 409
    assert served.put("other", document()).status_code == 422
    assert served.start("run_1", definition="mine").status_code == 202
    for refused in (served.put("mine", document()), served.delete("mine")):
        assert refused.status_code == 409
        assert "in use by run_1" in refused.json()["detail"]
    assert served.client.delete("/api/v1/tasks/run_1", headers=JSON).status_code == 202
    served.it.settle()
    assert served.put("mine", document(seconds=0.001)).status_code == 200
    served.open()
    assert served.listed()["mine"]["document"] == document(seconds=0.001)
    assert served.delete("nobody").status_code == 404


def test_what_no_longer_fits_is_listed_with_the_reason_and_not_run(served: Served) -> None:
    assert served.post(document()).status_code == 201
    (path,) = served.folder.iterdir()
    broken = document()
    broken["sequence"]["actions"][0]["type"] = "no_such"
    path.write_text(json.dumps(broken))
    (served.folder / "torn.json").write_text("{")
    served.open()
    assert "no_such" in served.listed()["mine"]["error"]
    refusal = served.start("mine")
    assert refusal.status_code == 422
    assert "does not fit this machine any more" in refusal.json()["detail"]
    assert served.put("mine", document()).status_code == 200
    assert served.start("mine").status_code == 202
    served.it.settle()


def test_their_number_is_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ADDED", 2)
    for key in ("a", "b"):
        assert served.post(document(key)).status_code == 201
    assert served.post(document("c")).status_code == 409
    assert served.put("a", document("a", seconds=0.004)).status_code == 200


def test_what_cannot_be_kept_is_not_there(served: Served) -> None:
    served.folder.write_text("in the way")
    assert served.post(document()).status_code == 500
    assert served.start("mine").status_code == 404
