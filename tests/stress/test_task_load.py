"""Starts over HTTP by the thousand: each one gets a true answer, and what is accepted ends once."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.core import now_ns
from shared.enums import RtState
from tests.helpers import ROOT
from tests.integration.test_nonrt_process import ANY_TIMING, SERVING, NonRt, started_nonrt
from tests.processes import Place, started_rt, wait_for

FINAL = {"COMPLETED", "FAILED", "CANCELLED"}


def load(nonrt: NonRt, options: str) -> dict[str, Any]:
    """Summary of tests.http_load, a process of its own."""
    address = urlsplit(nonrt.urls()["http"])
    command = [sys.executable, "-m", "tests.http_load", str(address.hostname), str(address.port)]
    done = subprocess.run(
        [*command, *options.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def journal_rows(place: Place) -> list[dict[str, Any]]:
    """Every execution on disk."""
    path = place.folder / "data" / f"tasks-{place.instance}.sqlite3"
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        query = "SELECT execution_id, task_id, status, error, started_ns FROM execution"
        return [dict(row) for row in connection.execute(query)]


class Watcher(threading.Thread):
    """Follows heartbeat and RT state from outside, and asks for /health all the while."""

    def __init__(self, place: Place, nonrt: NonRt) -> None:
        super().__init__()
        self._place = place
        self._url = nonrt.urls()["http"]
        self._client = nonrt.client
        self._ending = threading.Event()
        self.oldest_beat_ms = 0.0
        self.health_ms: list[float] = []
        self.health: Counter[int] = Counter()
        self.states: Counter[str] = Counter()

    def run(self) -> None:
        segment = self._place.segment()
        assert segment is not None
        look = 0
        while not self._ending.wait(0.005):
            age_ms = (now_ns() - int(segment.nonrt_status.heartbeat_ns)) / 1e6
            self.oldest_beat_ms = max(self.oldest_beat_ms, age_ms)
            self.states[RtState(int(segment.rt_status.state)).name] += 1
            look += 1
            if look % 10 == 0:
                began = time.perf_counter()
                answer = self._client.get(f"{self._url}/health?process=non_rt_process")
                self.health_ms.append(1e3 * (time.perf_counter() - began))
                self.health[answer.status_code] += 1

    def end(self) -> str:
        self._ending.set()
        self.join()
        times = sorted(self.health_ms)
        p99 = times[len(times) * 99 // 100] if times else 0.0
        return (
            f"oldest heartbeat {self.oldest_beat_ms:.0f} ms, /health p99 {p99:.0f} ms of "
            f"{len(times)}, {dict(self.health)}, RT {dict(self.states)}"
        )


@contextmanager
def running(place: Place) -> Iterator[NonRt]:
    place.environ |= ANY_TIMING
    with started_rt(place), started_nonrt(place) as nonrt:
        nonrt.wait_for_status(*SERVING)
        yield nonrt
    assert place.shm_files() == []


def check(place: Place, nonrt: NonRt, loads: list[dict[str, Any]], sent: int) -> Counter[str]:
    """Every answer is true: the journal holds what was accepted, once, and nothing else."""
    accepted = {execution: task for one in loads for task, execution in one["accepted"].items()}
    count = sum(len(one["accepted"]) for one in loads)
    assert len(accepted) == count, "an execution id is given once"
    assert sum(sum(one["statuses"].values()) for one in loads) == sent
    for one in loads:
        assert one["no_answer"] == []
        assert one["refused_without_retry_after"] == 0
        assert one["refused_without_problem"] == 0

    def ended() -> list[dict[str, Any]] | None:
        rows = journal_rows(place)
        return rows if all(row["status"] in FINAL for row in rows) else None

    kept = wait_for(ended, "every accepted task to end", 120)
    assert {row["execution_id"]: row["task_id"] for row in kept} == accepted
    assert len(kept) == len(accepted)
    counts: Counter[str] = Counter(row["status"] for row in kept)
    print(f"accepted {count}, in the journal {len(kept)}: {dict(counts)}")
    return counts


def show(what: str, one: dict[str, Any]) -> None:
    rate = sum(one["statuses"].values()) / one["seconds"]
    print(
        f"{what}: {one['statuses']} in {one['seconds']:.2f} s ({rate:.0f}/s), "
        f"p50 {one['p50_ms']:.0f} ms, p99 {one['p99_ms']:.0f} ms"
    )


def run(place: Place, concurrent: int, in_a_row: int) -> None:
    with running(place) as nonrt:
        watcher = Watcher(place, nonrt)
        watcher.start()
        try:
            both = [
                load(
                    nonrt, f"--clients {concurrent} --count {concurrent} --at-once --prefix task_c"
                ),
                load(nonrt, f"--clients 8 --count {in_a_row} --prefix task_r"),
            ]
        finally:
            seen = watcher.end()
        show(f"{concurrent} at once", both[0])
        show(f"{in_a_row} in a row", both[1])
        print(seen)
        counts = check(place, nonrt, both, concurrent + in_a_row)
        assert counts == {"COMPLETED": concurrent + in_a_row}, "the queue has room for them all"
        assert watcher.states.keys() <= {"RUNNING", "READY"}, "the heartbeat never waited"
        assert watcher.health.keys() <= {200}


@pytest.mark.short
@pytest.mark.timeout(300)
def test_starts_at_once_and_in_a_row(place: Place) -> None:
    run(place, 1000, 1000)


@pytest.mark.timeout(600)
def test_ten_thousand_in_a_row(place: Place) -> None:
    run(place, 1000, 10_000)


@pytest.mark.timeout(300)
def test_a_full_queue_says_when_to_come_again(place: Place) -> None:
    place.environ["MXRC_API__TASK_QUEUE_MAX"] = "100"
    with running(place) as nonrt:
        one = load(nonrt, "--clients 1000 --count 3000 --at-once")
        show("3000 starts, room for 100", one)
        assert one["statuses"].keys() == {"202", "429"}
        check(place, nonrt, [one], 3000)
