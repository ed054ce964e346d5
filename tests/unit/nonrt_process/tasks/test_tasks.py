from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nonrt_process.interfaces import (
    DuplicateActive,
    InvalidTask,
    NotPrimary,
    QueueFull,
    TaskEnded,
    UnknownDefinition,
    UnknownTask,
)
from nonrt_process.tasks import definitions, service, task_events
from nonrt_process.tasks.task_events import LOST
from shared.config import load_config
from shared.enums import RtEvent, RtState
from shared.resources import resource_path
from shared.sqlite_store import SqliteStore, StoreError
from tests.unit.nonrt_process.fakes import real_segment
from tests.unit.nonrt_process.tasks.system import System, system


def test_a_task_runs_once_and_its_history_stays(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        accepted = it.start("wait_1")
        assert it.status("wait_1") == "PENDING"
        assert it.tasks.queue_depth() == 1
        it.settle()
        info = it.tasks.get("wait_1")
        assert info["status"] == "COMPLETED"
        assert info["execution_id"] == accepted.execution_id
        assert info["trace_id"] == accepted.trace_id
        assert info["definition"] == "wait_*"
        assert None not in (info["accepted_at"], info["started_at"], info["ended_at"])
        assert it.begun == {accepted.execution_id: 1}
        assert it.ended == {(accepted.execution_id, "COMPLETED"): 1}
        assert it.tasks.counts_by_status()["COMPLETED"] == 1
        assert it.tasks.queue_depth() == 0


def test_execution_ids_are_positive_ascending_and_safe_in_json(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        ids = [it.start(f"wait_{n}").execution_id for n in range(20)]
        assert ids == sorted(set(ids))
        assert 0 < ids[0] < ids[-1] < 1 << 53
        it.nonrt_crash()
        it.context.clock.step_realtime(-(10**15))
        it.nonrt_start()
        assert it.start("wait_x").execution_id > ids[-1], "also after the wall clock was put back"


def test_what_is_refused(tmp_path: Path) -> None:
    with system(tmp_path, limit=3) as it:
        with pytest.raises(UnknownDefinition, match="'nothing'"):
            it.start("nothing")
        with pytest.raises(UnknownDefinition):
            it.start("wait_1", definition="nothing")
        with pytest.raises(InvalidTask, match="periodic needs period_ms"):
            it.start("wait_1", "periodic")
        with pytest.raises(InvalidTask, match=r"parameters\.nope"):
            it.start("exact", parameters={"nope": 1})
        with pytest.raises(InvalidTask, match=r"parameters\.speed"):
            it.start("exact", parameters={"speed": "fast"})
        with pytest.raises(InvalidTask, match=r"parameters\.on"):
            it.start("exact", parameters={"on": 1})
        it.start("exact", parameters={"speed": 2, "name": "y"})
        with pytest.raises(DuplicateActive) as caught:
            it.start("exact")
        assert caught.value.status == 409
        it.start("wait_1")
        it.start("wait_2")
        with pytest.raises(QueueFull) as full:
            it.start("wait_3")
        assert full.value.headers["Retry-After"] == "1"
        assert it.tasks.counts_by_status()["PENDING"] == 3
        it.settle()
        it.start("wait_3")
        with pytest.raises(UnknownTask):
            it.tasks.get("never")
        with pytest.raises(UnknownTask):
            it.tasks.cancel("never")


def test_an_id_may_be_used_again_after_its_end(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        first = it.start("wait_1").execution_id
        it.settle()
        second = it.start("wait_1").execution_id
        it.settle()
        assert it.tasks.get("wait_1")["execution_id"] == second
        page = it.tasks.list(0, 10, None)
        assert [row["execution_id"] for row in page["tasks"]] == [second, first]


def test_without_a_primary(tmp_path: Path) -> None:
    with system(tmp_path, start=False) as it:
        it.nonrt_start()
        with pytest.raises(NotPrimary, match="no RT process is PRIMARY"):
            it.start("wait_1")
        it.context.heart.segment = None
        with pytest.raises(NotPrimary, match="no RT process is attached"):
            it.start("wait_1")


def test_an_rt_process_that_stays_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "RT_ABSENT_NS", 5_000_000_000)
    with system(tmp_path) as it:
        it.rt_crash()
        it.context.clock.advance(4_000_000_000)
        it.start("wait_1")
        it.context.clock.advance(2_000_000_000)
        with pytest.raises(NotPrimary, match="has not run a cycle for 6 s"):
            it.start("wait_2")


def test_a_task_that_fails_says_why(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("late_1")
        it.settle()
        info = it.tasks.get("late_1")
        assert (info["status"], info["error"], info["step"]) == ("FAILED", "ERR_TIMEOUT", 0)


def test_pages_and_filter(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        for n in range(5):
            it.start(f"wait_{n}")
        it.start("late_1")
        it.settle()
        page = it.tasks.list(1, 2, None)
        assert [row["task_id"] for row in page["tasks"]] == ["wait_4", "wait_3"]
        assert (page["total"], page["offset"], page["limit"]) == (6, 1, 2)
        assert [row["task_id"] for row in it.tasks.list(0, 9, "FAILED")["tasks"]] == ["late_1"]
        assert it.tasks.list(100, 9, None)["tasks"] == []


def test_axes_are_given_to_one_at_a_time_by_priority_then_order(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        for name in ("resume_1", "resume_2", "urgent_1", "fail_1"):
            it.start(name)
        it.work()
        assert {name: it.status(name) for name in ("resume_1", "urgent_1", "fail_1")} == {
            "resume_1": "PENDING",
            "urgent_1": "PENDING",  # begun by RT, not read yet
            "fail_1": "PENDING",
        }
        it.turn()
        assert it.status("urgent_1") == "RUNNING"
        assert it.status("fail_1") == "RUNNING", "on another axis"
        assert it.tasks.get("resume_1")["waiting_for"] == ["urgent_1"]
        assert it.tasks.get("urgent_1")["action"] == "m"
        it.settle()
        order = [row["task_id"] for row in it.tasks.list(0, 9, "COMPLETED")["tasks"]]
        ends = {name: it.tasks.get(name)["ended_at"] for name in order}
        assert ends["urgent_1"] <= ends["resume_1"] <= ends["resume_2"]


def test_more_than_rt_has_places_for(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        for n in range(60):
            it.start(f"wait_{n}")
        it.settle()
        assert it.tasks.counts_by_status()["COMPLETED"] == 60
        assert set(it.ended.values()) == {1}


def test_paused_rt_keeps_what_it_has_and_goes_on(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.state(RtEvent.PAUSE)
        it.work()
        assert it.rt_state() == RtState.PAUSED
        it.start("wait_1")
        it.work(20)
        assert it.status("wait_1") == "PENDING"
        it.state(RtEvent.RESUME)
        it.settle()
        assert it.status("wait_1") == "COMPLETED"


def test_safe_mode_and_error_let_tasks_wait(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.state(RtEvent.SAFE_MODE_ENTER)
        it.work()
        it.start("wait_1")
        it.work(10)
        assert it.status("wait_1") == "PENDING"
        assert it.tasks.queue_depth() == 1, "nothing is sent that RT would refuse"
        it.state(RtEvent.SAFE_MODE_EXIT)
        it.work()
        it.state(RtEvent.RESUME)
        it.settle()
        assert it.status("wait_1") == "COMPLETED"


def test_refused_because_the_state_changed_on_the_way(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("wait_1")
        it.state(RtEvent.SAFE_MODE_ENTER)  # in front of it in the queue
        it.dispatch()
        assert it.tasks.queue_depth() == 0
        it.cycles(3)
        it.turn()
        assert it.tasks.queue_depth() == 1, "refused, so it waits again"
        it.state(RtEvent.SAFE_MODE_EXIT)
        it.work()
        it.state(RtEvent.RESUME)
        it.settle()
        assert it.status("wait_1") == "COMPLETED"


# ---- cancelling --------------------------------------------------------------------------------


def test_cancel_before_it_is_sent(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        accepted = it.start("wait_1")
        assert it.tasks.cancel("wait_1")["status"] == "CANCELLED"
        it.work(5)
        assert it.begun == {}
        with pytest.raises(TaskEnded, match="CANCELLED"):
            it.tasks.cancel("wait_1")
        assert it.start("wait_1").execution_id != accepted.execution_id


def test_cancel_while_it_runs(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        accepted = it.start("long_1")
        it.work(3)
        info = it.tasks.cancel("long_1")
        assert (info["status"], info["cancel_requested"]) == ("RUNNING", True)
        it.settle()
        assert it.status("long_1") == "CANCELLED"
        assert it.ended == {(accepted.execution_id, "CANCELLED"): 1}


def test_cancel_between_sending_and_taking(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("long_1")
        it.dispatch()
        it.tasks.cancel("long_1")
        it.settle()
        assert it.status("long_1") == "CANCELLED"


def test_cancel_survives_a_crash_of_this_process(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("long_1")
        it.work(3)
        it.rt_crash()
        it.context.heart.segment = None
        it.tasks.cancel("long_1")  # nobody to tell
        it.nonrt_crash()
        it.context.heart.segment = it.nonrt
        it.nonrt_start()
        it.rt_start()
        it.settle()
        assert it.status("long_1") == "CANCELLED"


# ---- crashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("rounds", range(7))
def test_this_process_dies_at_each_stage(tmp_path: Path, rounds: int, in_batch: bool) -> None:
    with system(tmp_path) as it:
        accepted = it.start("wait_1")
        stages: list[Any] = [it.dispatch, *[lambda: it.cycles(3), it.turn] * 3]
        for stage in stages[:rounds]:
            stage()
        it.nonrt_crash(in_batch)
        it.cycles(4)
        it.nonrt_start()
        it.settle()
        assert it.status("wait_1") == "COMPLETED"
        assert it.begun == {accepted.execution_id: 1}
        assert it.ended == {(accepted.execution_id, "COMPLETED"): 1}


def sent_before_the_events_are_read(it: System) -> int:
    """A new process that sends before it has read what the last one left; how often RT began it."""
    accepted = it.start("wait_1")
    it.dispatch()
    it.nonrt_crash()
    it.cycles(20)
    it.nonrt_start()
    assert it.pump is not None
    it.pump._follow(it.nonrt)
    it.dispatch()
    it.cycles(20)
    it.settle()
    return it.begun[accepted.execution_id]


def test_what_the_command_queue_knows_is_not_sent_again(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        assert sent_before_the_events_are_read(it) == 1


def test_without_looking_at_the_command_queue_it_would_run_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_events, "_starts", lambda commands: {})
    with system(tmp_path) as it:
        assert sent_before_the_events_are_read(it) == 2


@pytest.mark.parametrize(
    ("task", "outcome"),
    [("resume_1", "COMPLETED"), ("restart_1", "COMPLETED"), ("fail_1", "FAILED")],
)
def test_rt_dies_while_it_runs(tmp_path: Path, task: str, outcome: str) -> None:
    with system(tmp_path) as it:
        accepted = it.start(task)
        it.work(1, cycles=6)
        it.rt_crash()
        it.work(3)
        it.rt_start()
        it.settle()
        assert it.status(task) == outcome
        assert sum(it.ended.values()) == 1
        if outcome == "FAILED":
            assert it.tasks.get(task)["error"] == "ERR_RESTART"
        assert it.begun[accepted.execution_id] == 1


def test_accepting_goes_on_while_rt_restarts(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.rt_crash()
        it.start("wait_1")
        it.work(3)
        assert it.status("wait_1") == "PENDING"
        it.rt_start()
        it.settle()
        assert it.status("wait_1") == "COMPLETED"


def test_a_new_generation_runs_what_the_old_one_did_not_finish(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        for name in ("resume_1", "restart_1", "fail_1", "wait_1", "long_1"):
            it.start(name)
        it.work(1, cycles=4)
        it.turn()
        it.tasks.cancel("long_1")
        assert it.status("fail_1") == "RUNNING"
        it.rt_crash()
        with real_segment(tmp_path, event_slots=4096, command_slots=64) as (rt, nonrt):
            it.rt, it.nonrt = rt, nonrt
            it.context.heart.segment = nonrt
            it._readers.clear()
            it.rt_start()
            it.turn()  # before its first cycle nobody knows what it goes on from
            assert it.status("resume_1") == "RUNNING"
            it.rt.rt_status.last_recovery = 2
            it.settle()
            assert {
                name: it.status(name)
                for name in ("resume_1", "restart_1", "fail_1", "wait_1", "long_1")
            } == {
                "resume_1": "COMPLETED",
                "restart_1": "COMPLETED",
                "fail_1": "FAILED",
                "wait_1": "COMPLETED",
                "long_1": "CANCELLED",
            }
            assert it.tasks.get("fail_1")["error"] == "ERR_RESTART"
            it.close()
            it.rt = it.nonrt = None  # type: ignore[assignment]


def test_an_end_whose_events_were_overwritten_is_settled(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("wait_lost")
        it.dispatch()
        it.cycles(3)
        it.turn()
        assert it.status("wait_lost") == "RUNNING"
        it.cycles(20)
        assert it.pump is not None
        assert it.pump._position is not None
        for reader in it.pump._position.lanes.values():
            reader.cursor = reader.head  # as if lapped
        it.settle()
        info = it.tasks.get("wait_lost")
        assert (info["status"], info["error"]) == ("FAILED", LOST)


# ---- the journal -------------------------------------------------------------------------------


def test_nothing_is_accepted_that_is_not_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with system(tmp_path) as it:

        def refuse(*_: Any) -> None:
            raise StoreError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "submit", refuse)
            with pytest.raises(NotPrimary, match="disk full"):
                it.start("wait_1")
        assert it.tasks.queue_depth() == 0
        it.start("wait_1")
        it.settle()
        assert it.status("wait_1") == "COMPLETED"


def test_a_full_disk_holds_the_events_back_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with system(tmp_path) as it:
        it.start("wait_1")
        it.dispatch()
        it.cycles(20)
        real = SqliteStore.write

        def refuse(*_: Any) -> None:
            raise StoreError("disk full")

        monkeypatch.setattr(SqliteStore, "write", refuse)
        for _ in range(5):
            it.turn()
        monkeypatch.setattr(SqliteStore, "write", real)
        assert it.pump is not None
        assert it.pump.failures == 0
        it.settle()
        assert it.status("wait_1") == "COMPLETED"


def test_headers_of_the_request_are_kept(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("wait_1", tracestate="a=1", baggage="user=7")
        it.nonrt_crash()
        it.nonrt_start()
        (execution,) = it.book.active()
        assert (execution.tracestate, execution.baggage) == ("a=1", "user=7")


def test_what_was_accepted_runs_as_it_was_defined_then(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("long_1")
        tasks = dict(it.context.config.current.tasks)
        del tasks["long_*"]
        it.context.config.propose(replace(it.context.config.current, tasks=tasks))
        it.nonrt_crash()
        it.nonrt_start()
        it.work(3)
        assert it.tasks.get("long_1")["action"] == "w"


def test_every_shipped_definition_is_compiled_from_the_journal_as_from_the_file() -> None:
    config = load_config(resource_path("config"), environ={}, check_machine=False)
    assert len(config.tasks) >= 3
    for definition in config.tasks.values():
        checked = definitions.check(config, definition, "task_1", definition.mode, {})
        assert definitions.parse(checked.document) == definition


def test_concurrent_starts_of_one_id_accept_exactly_one(tmp_path: Path) -> None:
    with system(tmp_path) as it:

        def attempt(_: int) -> bool:
            try:
                it.start("wait_1")
            except DuplicateActive:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(40))) == 1


def test_old_rows_go_and_the_counts_follow(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        for n in range(5):
            it.start(f"wait_{n}")
        it.settle()
        it.start("long_1")
        # Ends are stamped with the segment's wall clock, which the test does not move.
        it.context.clock.step_realtime(20 * 365 * 24 * 3600 * 10**9)
        it.journal.store.write(lambda connection: it.journal._retain(connection, False))
        assert it.tasks.counts_by_status()["COMPLETED"] == 0
        assert it.tasks.list(0, 10, None)["total"] == 1, "what is active stays"
        with it.journal.store.read() as connection:
            assert connection.execute("SELECT count(*) FROM definition").fetchone() == (1,)


def test_the_database_itself_refuses_a_second_active_row(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        it.start("wait_1")
        (execution,) = it.book.active()
        execution.execution_id += 1
        with pytest.raises(sqlite3.IntegrityError):
            it.journal.accept(execution, json.dumps({})).result(60)
        execution.execution_id -= 1


def test_a_list_shows_where_each_is(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        for name in ("resume_1", "resume_2", "wait_1"):
            it.start(name)
        it.settle()
        for name in ("resume_1", "resume_2"):
            it.start(name)
        it.work(1, cycles=4)
        page = it.tasks.list(0, 10, None)["tasks"]
        found = {one["task_id"]: one for one in page if one["status"] in ("PENDING", "RUNNING")}
        assert found["resume_1"]["action"] == "m"
        assert found["resume_1"]["progress"] == 0
        assert found["resume_2"]["waiting_for"] == ["resume_1"]
        assert found == {name: it.tasks.get(name) for name in found}
        assert all("progress" not in one for one in page if one["status"] == "COMPLETED")
        it.settle()
