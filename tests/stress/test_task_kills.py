"""Tasks over HTTP while both processes are killed in turn: nothing accepted is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.integration.test_nonrt_process import ANY_TIMING, SERVING, NonRt, started_nonrt
from tests.processes import Place, kill, started_rt, wait_for, wait_for_state

CLIENTS = 8


class Load:
    """Starts task_0 ... from several clients, each until it is accepted."""

    def __init__(self, tasks: int) -> None:
        self.url = ""
        self.accepted: dict[int, str] = {}
        self.lost_answers = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(range(at, tasks, CLIENTS),))
            for at in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self, numbers: range) -> None:
        with httpx.Client(timeout=10) as client:
            for number in numbers:
                while not self._start(client, f"task_{number}"):
                    time.sleep(0.1)

    def _start(self, client: httpx.Client, task_id: str) -> bool:
        body = {"task_id": task_id, "mode": "once"}
        try:
            answer = client.post(f"{self.url}/api/v1/task/start", json=body)
        except httpx.HTTPError:
            with self._lock:
                self.lost_answers += 1  # it may have been accepted all the same
            return False
        if answer.status_code == 409:
            return True  # accepted by a process that died before it could say so
        if answer.status_code != 202:
            assert answer.status_code in (429, 503), answer.text
            return False
        with self._lock:
            self.accepted[answer.json()["execution_id"]] = task_id
        return True


def all_tasks(nonrt: NonRt) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    while True:
        page = nonrt.get("/api/v1/tasks", params={"offset": len(tasks), "limit": 1000}).json()
        tasks += page["tasks"]
        if not page["tasks"] or len(tasks) >= page["total"]:
            return tasks


def run(place: Place, tasks: int, kills: int) -> None:
    place.environ |= ANY_TIMING
    load = Load(tasks)
    with ExitStack() as stack:
        rt = stack.enter_context(started_rt(place))
        nonrt = stack.enter_context(started_nonrt(place))
        nonrt.wait_for_status(*SERVING)
        load.url = nonrt.urls()["http"]
        load.start()
        done = 0
        while load.running():
            time.sleep(1.0)
            if done >= kills:
                continue
            done += 1
            if done % 2:
                kill(nonrt)
                nonrt = stack.enter_context(started_nonrt(place, name=f"nonrt{done}"))
                load.url = nonrt.urls()["http"]
            else:
                kill(rt)
                rt = stack.enter_context(started_rt(place, name=f"rt{done}"))
        load.join()
        wait_for_state(place, rt)  # told to stop before it is attached, it leaves the segment

        def idle() -> bool:
            return not any(
                nonrt.get("/api/v1/tasks", params={"status": status, "limit": 1}).json()["total"]
                for status in ("PENDING", "RUNNING")
            )

        wait_for(idle, "every task to end", 120)
        found = all_tasks(nonrt)
        status = {task["execution_id"]: task["status"] for task in found}
        counts = Counter(status.values())
        refused = f"{load.lost_answers} failed requests"
        print(f"{len(load.accepted)} accepted, {done} kills, {refused}, {dict(counts)}")
        assert done > 0
        assert len(status) == len(found), "each execution once"
        assert load.accepted.keys() <= status.keys(), "none lost"
        assert counts.keys() == {"COMPLETED"}, "task_* begins again after a restart"
        assert len(found) <= tasks + load.lost_answers
    assert place.shm_files() == []


@pytest.mark.short
@pytest.mark.timeout(300)
def test_short(instance: str, tmp_path: Any) -> None:
    run(Place(instance, tmp_path), tasks=300, kills=4)


@pytest.mark.timeout(900)
def test_long(instance: str, tmp_path: Any) -> None:
    run(Place(instance, tmp_path), tasks=2000, kills=16)
