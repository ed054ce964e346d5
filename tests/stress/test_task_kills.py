"""Tasks over HTTP while both processes are killed in turn: none is lost, none runs twice.

Each start carries an Idempotency-Key and is sent again until it is answered: a process that is
killed between accepting and answering must not make two executions of one request.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from shared.core import lib
from shared.state_block import read_state
from tests.helpers import free_port
from tests.http_load import Connection, start
from tests.integration.test_nonrt_process import ANY_TIMING, SERVING, NonRt, started_nonrt
from tests.processes import PATIENT, Place, Running, kill, started_rt, wait_for, wait_for_state
from tests.stress.test_task_load import FINAL, journal_rows

KINDS = ("restart", "resume", "fail")
"""Task ids begin with it; what a restart of RT does to a task that is under way."""
CONNECTIONS = 64
RESTARTED = "ERR_RESTART"
MXRC_TASKS = int(lib.MXRC_TASKS)
"""As many are under way at once."""
MEET_S = 20.0


def define(place: Place) -> None:
    """One definition for each policy; 0.1 s, so that some are under way at each kill."""
    for kind in KINDS:
        document = {
            "pattern": f"{kind}_*",
            "mode": "once",
            "on_restart": kind,
            "on_safe_mode": "resume",
            "sequence": {
                "name": "short",
                "actions": [{"name": "w", "type": "wait", "parameters": {"duration_s": 0.1}}],
            },
        }
        (place.config_dir / "tasks" / f"{kind}.json").write_text(json.dumps(document))


class Load(threading.Thread):
    """Starts tasks at a rate, each until it is accepted."""

    def __init__(self, port: int, tasks: int, rate: float) -> None:
        super().__init__(daemon=True)  # a test that has failed does not wait for it
        self._port = port
        self._tasks = tasks
        self._rate = rate
        self.accepted: dict[str, int] = {}
        """Execution by task id."""
        self.attempts: Counter[int] = Counter()
        """By status; 0: no answer."""
        self.wrong: list[str] = []
        self.seconds = 0.0

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            free.put_nowait(Connection("127.0.0.1", self._port))
        began = time.monotonic()

        async def one(number: int) -> None:
            await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))
            await self._start(f"{KINDS[number % len(KINDS)]}_{number}", free)

        await asyncio.gather(*(one(number) for number in range(self._tasks)))
        self.seconds = time.monotonic() - began
        while not free.empty():
            free.get_nowait().close()

    async def _start(self, task_id: str, free: asyncio.Queue[Connection]) -> None:
        request = start(task_id, key=f"key-{task_id}")
        while True:
            connection = await free.get()
            answer = await connection.ask(request)
            free.put_nowait(connection)
            self.attempts[answer.status] += 1
            if answer.status == 202:
                self.accepted[task_id] = json.loads(answer.body)["execution_id"]
                return
            if answer.status not in (0, 429, 503):
                self.wrong.append(f"{task_id}: {answer.status} {answer.body.decode()}")
                return
            await asyncio.sleep(0.05)


class Processes:
    """RT and Non-RT, of which one is killed and started again at each turn."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self._place = place
        self._stack = stack
        self.rt: Running = stack.enter_context(started_rt(place))
        self.nonrt: NonRt = stack.enter_context(started_nonrt(place))
        self.kills: Counter[str] = Counter()

    def wait_for_next(self) -> None:
        """Until the next in turn has come up: one that never does proves nothing."""
        if self.kills.total() % 2:
            wait_for_state(self._place, self.rt)
        else:
            self.nonrt.wait_for_status(*SERVING)

    def kill_next(self) -> None:
        done = self.kills.total()
        if done % 2:
            self._meet_one()
            kill(self.rt)
            self.rt = self._stack.enter_context(started_rt(self._place, name=f"rt{done}"))
            self.kills["RT"] += 1
        else:
            kill(self.nonrt)
            self.nonrt = self._stack.enter_context(started_nonrt(self._place, name=f"non{done}"))
            self.kills["Non-RT"] += 1

    def _meet_one(self) -> None:
        """Until RT is at work on a task that a restart fails; a busy machine takes a while."""
        segment = self._place.segment()
        deadline = time.monotonic() + MEET_S
        while segment is not None and time.monotonic() < deadline:
            for task in (read_state(segment) or {}).get("tasks", []):
                if task["status"] == "RUNNING" and task["task_id"].startswith("fail"):
                    return
            time.sleep(0.002)

    def up(self) -> None:
        """Both have come up."""
        wait_for_state(self._place, self.rt)
        self.nonrt.wait_for_status(*SERVING)


def logged(place: Place, sentence: str) -> Counter[int]:
    """By execution: how often the RT log says a sentence; a line found twice counts once."""
    events: dict[tuple[Any, Any], int] = {}
    for path in (place.folder / "log").glob("rt_process.log*"):
        for line in path.read_text().splitlines():
            if sentence in line:
                one = json.loads(line)
                number = one["mxrc.generation"], one["event.sequence"]
                events[number] = one["mxrc.execution_id"]
    return Counter(events.values())


def run(place: Place, tasks: int, rate: float, spacing_s: float, fails: int = 0) -> None:
    """fails: at least so many are expected to be failed by their policy."""
    port = free_port()
    place.environ |= {name: value for name, value in ANY_TIMING.items() if name not in PATIENT}
    place.environ["MXRC_FAILOVER_POLICY__RT_PROCESS__MAX_RESTART_COUNT"] = "1000"
    place.environ |= {"MXRC_API__PORT": str(port), "MXRC_API__PORT_FALLBACK": "false"}
    define(place)
    load = Load(port, tasks, rate)
    with ExitStack() as stack:
        processes = Processes(place, stack)
        processes.up()
        load.start()
        began = time.monotonic()
        while load.is_alive():
            processes.wait_for_next()
            load.join(spacing_s)
            if load.is_alive():
                processes.kill_next()
        killing_s = time.monotonic() - began
        processes.up()

        def ended() -> list[dict[str, Any]] | None:
            rows = journal_rows(place)
            return rows if all(row["status"] in FINAL for row in rows) else None

        rows = wait_for(ended, "every task to end", 120)
        time.sleep(1.0)  # the last log lines
        done = logged(place, "Task completed after")
        failed_in_rt = logged(place, "Task failed in step")
        by_kind: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        for row in rows:
            by_kind[row["task_id"].split("_")[0]][row["status"]] += 1
        kills = processes.kills.total()
        print(
            f"{tasks} tasks at {rate:g}/s in {load.seconds:.1f} s, {dict(processes.kills)} killed, "
            f"one each {killing_s / max(1, kills):.1f} s; attempts by answer "
            f"{dict(load.attempts)}; accepted {len(load.accepted)}, in the journal {len(rows)}: "
            f"{ {kind: dict(counts) for kind, counts in by_kind.items()} }; "
            f"completions in the RT log {done.total()} of {len(done)} executions"
        )
        assert load.wrong == []
        assert kills >= 2
        executions = {row["task_id"]: row["execution_id"] for row in rows}
        assert len(executions) == len(rows), "none twice"
        assert executions == load.accepted, "none lost, and each answer names what was accepted"
        assert len(load.accepted) == tasks
        assert by_kind["restart"].keys() == by_kind["resume"].keys() == {"COMPLETED"}
        assert by_kind["fail"].keys() <= {"COMPLETED", "FAILED"}
        failed = [row for row in rows if row["status"] == "FAILED"]
        for row in failed:
            assert row["error"] == RESTARTED, row
            assert row["started_ns"] is not None, "what had not begun was not under way"
        assert len(failed) >= fails, "a policy that is never followed proves nothing"
        assert len(failed) <= MXRC_TASKS * processes.kills["RT"], "only what a kill has met"
        assert failed_in_rt.keys() <= {row["execution_id"] for row in failed}
        assert not [one for one, count in done.items() if count > 1], "none ran to its end twice"
        completed = {row["execution_id"] for row in rows if row["status"] == "COMPLETED"}
        assert done.keys() <= completed
    assert place.shm_files() == []


@pytest.mark.short
@pytest.mark.timeout(300)
def test_short(place: Place) -> None:
    run(place, tasks=300, rate=60, spacing_s=1.0)


@pytest.mark.timeout(900)
def test_a_thousand_at_two_hundred_a_second(place: Place) -> None:
    run(place, tasks=1000, rate=200, spacing_s=1.0, fails=1)


@pytest.mark.timeout(900)
def test_long(place: Place) -> None:
    run(place, tasks=2000, rate=50, spacing_s=1.0, fails=1)
