from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nonrt_process.failover.diagnosis import Examiner
from nonrt_process.failover.intervention import Intervention
from nonrt_process.failover.manager import TICK_NS, Look, Manager
from nonrt_process.failover.restart_record import RestartRecord
from nonrt_process.interfaces import RtNoReply
from nonrt_process.rt_view import RtView
from shared.boot_id import boot_id
from shared.clock import FakeClock
from shared.config.models.failover_policy import FailoverPolicy
from shared.core import MxrcError
from shared.enums import Role, RtState, SafeCause
from shared.failure_watch import Target

MS = 1_000_000
SECOND = 10


def view(pid: int = 100, **fields: Any) -> RtView:
    values: dict[str, Any] = dict.fromkeys(RtView.__dataclass_fields__, 0)
    values.update(
        member=0, pid=pid, process_start=pid * 7, alive=True, role=Role.PRIMARY, document={},
        state=RtState.RUNNING, period_ns=MS, window_slots=10_000, heartbeat_ns=1,
    )  # fmt: skip
    return RtView(**{**values, **fields})


class Plant:
    """RT processes that can be stopped, and what the manager did to them. Hands of the manager."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = FakeClock()
        self.policy = FailoverPolicy(failure_threshold=3, max_restart_count=2)
        self.now: RtView | None = view()
        self.standbys: tuple[int, ...] = ()
        self.beating = self.main_beating = True
        self.recording = True
        self.obeys = True
        self.lost = ""
        self.invalid = ""
        self.head = 0
        self.main_beat = 0
        self.asked: list[dict[str, Any]] = []
        self.killed: list[Target] = []
        self.dead: set[int] = set()
        self.safes = 0
        self.leaves = 0
        self.file = tmp_path / "test.intervention.json"
        self.record = tmp_path / "test.restarts.json"
        self.manager = self.make()

    def make(self) -> Manager:
        self.intervention = Intervention(self.file, self.clock, logging.getLogger("t"))
        self.intervention.load()
        return Manager(
            lambda: self.policy,
            self,
            Examiner(self._attach),
            self.intervention,
            RestartRecord(self.record, logging.getLogger("t")),
            self.clock,
            logging.getLogger("t"),
        )

    def _attach(self) -> None:
        if self.invalid:
            raise MxrcError(self.invalid)

    def look(self) -> Look:
        if self.now is None or self.lost:
            return Look(None, lost=self.lost)
        return Look(self.now, self.head, self.main_beat, self.standbys, generation=5)

    def ask(self, request: dict[str, Any]) -> None:
        self.asked.append(request)
        if self.obeys and request["operation"] == "step_down":
            self.die()

    def kill(self, target: Target) -> bool:
        self.killed.append(target)
        self.die()
        return True

    def alive(self, target: Target) -> bool:
        return target.pid not in self.dead

    def make_safe(self) -> None:
        self.safes += 1
        assert self.now is not None
        if not self.beating:
            raise RtNoReply("RT did not answer")
        self.now = replace(self.now, state=RtState.SAFE_MODE, safe_cause=SafeCause.REQUEST)

    def leave_safe(self) -> None:
        self.leaves += 1
        assert self.now is not None
        if not self.beating:
            raise RtNoReply("RT did not answer")
        self.now = replace(self.now, state=RtState.PAUSED)

    def die(self) -> None:
        assert self.now is not None
        self.dead.add(self.now.pid)
        self.now = replace(self.now, alive=False)

    def start_another(self) -> None:
        assert self.now is not None
        self.now = view(self.now.pid + 1, heartbeat_ns=self.clock.monotonic_ns())
        self.beating = self.main_beating = self.recording = True
        self.lost = self.invalid = ""

    def run(self, ticks: int, step_ns: int = TICK_NS) -> None:
        for _ in range(ticks):
            self.clock.advance(step_ns)
            now = self.clock.monotonic_ns()
            if self.now is not None and self.now.alive:
                if self.beating:
                    self.now = replace(self.now, heartbeat_ns=now)
                if self.main_beating:
                    self.main_beat = now
                if self.recording and self.beating:
                    self.head += 100
            self.manager.tick(now)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    made = Plant(tmp_path)
    made.run(2 * SECOND)
    return made


def test_a_healthy_process_is_left_alone(plant: Plant) -> None:
    plant.run(100 * SECOND)
    assert not plant.asked
    assert not plant.killed
    assert plant.manager.status()["fault"] is None


def test_a_stalled_thread_is_asked_and_obeys(plant: Plant) -> None:
    plant.beating = False
    plant.run(5 * SECOND)
    assert plant.asked == [{"operation": "step_down"}]
    assert not plant.killed


def test_one_that_does_not_obey_is_killed_once(plant: Plant) -> None:
    plant.beating = plant.obeys = False
    plant.run(6 * SECOND)
    assert plant.asked == [{"operation": "step_down"}]
    assert plant.killed == [Target(100, 700)]


def test_a_stopped_process_is_killed_without_asking_within_two_seconds(plant: Plant) -> None:
    """By the shipped policy; the rest of the five seconds is for the start of another."""
    plant.beating = plant.main_beating = False
    plant.run(18)
    assert not plant.asked
    assert plant.killed == [Target(100, 700)]


def test_not_before_the_threshold(plant: Plant) -> None:
    plant.beating = plant.main_beating = False
    plant.run(14)
    assert not plant.killed
    plant.beating = plant.main_beating = True
    plant.run(20 * SECOND)
    assert not plant.killed


def test_works_again_while_asked(plant: Plant) -> None:
    plant.beating = plant.obeys = False
    while not plant.asked:
        plant.run(1)
    plant.beating = True
    plant.run(20 * SECOND)
    assert not plant.killed


def test_a_late_observer_kills_nobody(plant: Plant) -> None:
    plant.beating = plant.main_beating = False
    plant.run(200, step_ns=10 * TICK_NS)
    assert not plant.killed
    assert not plant.asked


def test_a_paused_machine_costs_nobody_his_life(plant: Plant) -> None:
    plant.policy = plant.policy.model_copy(update={"failure_threshold": 1})
    plant.beating = False
    plant.run(1, step_ns=10_000 * MS)  # everything stood still, the observer too
    plant.beating = True
    plant.run(10 * SECOND)
    assert not plant.killed
    assert not plant.asked


def test_what_no_other_check_sees(plant: Plant) -> None:
    plant.policy = plant.policy.model_copy(update={"failure_threshold": 1000})
    plant.recording = False
    plant.run(SECOND)
    assert "writes no cycle records" in plant.manager.diagnosis.unseen
    plant.recording, plant.invalid = True, "its checksum is wrong"
    plant.run(SECOND)
    assert "its checksum is wrong" in plant.manager.diagnosis.unseen
    plant.beating = False
    plant.run(SECOND)
    assert "last cycle is" in plant.manager.diagnosis.curable
    assert not plant.manager.diagnosis.unseen


def test_beats_without_records(plant: Plant) -> None:
    plant.recording = False
    plant.run(6 * SECOND)
    assert plant.asked == [{"operation": "step_down"}]
    assert "records" not in (plant.manager.status()["fault"] or "")  # it is dead by now


@pytest.mark.parametrize("field", ["lost", "invalid"])
def test_segment_gone_or_damaged(plant: Plant, field: str) -> None:
    setattr(plant, field, "no such object")
    plant.obeys = False
    plant.run(6 * SECOND)
    assert plant.killed == [Target(100, 700)]


def test_bad_timing_is_reported_and_kills_nobody(plant: Plant) -> None:
    assert plant.now is not None
    plant.now = replace(plant.now, window_misses=9000)
    plant.standbys = (200,)
    plant.run(100 * SECOND)
    assert not plant.asked
    assert not plant.killed
    assert "deadline-miss rate" in plant.manager.status()["fault"]


def test_bad_timing_hands_over_once_in_a_window(plant: Plant) -> None:
    assert plant.now is not None
    plant.now = replace(plant.now, window_misses=9000)
    plant.policy = plant.policy.model_copy(update={"on_timing_failure": "handover"})
    plant.run(10 * SECOND)
    assert not plant.asked  # nobody to hand over to
    plant.standbys = (200, 201)
    plant.run(50 * SECOND)
    assert plant.asked == [{"operation": "handover", "to": 200}]
    plant.run(30 * SECOND)
    assert len(plant.asked) == 2
    assert not plant.killed


def test_restart_limit_ends_in_manual_intervention(plant: Plant) -> None:
    for _ in range(2):
        plant.beating = plant.main_beating = False
        plant.run(5 * SECOND)
        plant.start_another()
        plant.run(SECOND)
    assert len(plant.killed) == 2
    assert plant.safes == 0
    plant.beating = plant.main_beating = False
    plant.run(10 * SECOND)
    assert len(plant.killed) == 2
    assert "2 restarts within 60 s" in plant.intervention.reason
    assert plant.safes == 1  # in the queue of one that does not read it
    # It comes to life again, or somebody starts it: the machine stays safe.
    plant.beating = plant.main_beating = True
    plant.run(SECOND)
    assert plant.safes == 2
    assert plant.now is not None
    plant.now = replace(plant.now, state=RtState.RUNNING)
    plant.run(SECOND)
    assert plant.safes == 3


def test_a_process_that_does_not_answer_is_asked_for_the_safe_state_once(plant: Plant) -> None:
    """What waits in the queue is for whoever reads it next; more of it would only fill it."""
    plant.policy = plant.policy.model_copy(update={"max_restart_count": 0})
    plant.beating = plant.main_beating = False
    plant.run(100 * SECOND)
    assert plant.intervention.reason
    assert plant.safes == 1
    # A reset takes it back in the same queue.
    plant.manager.reset()
    assert plant.leaves == 1
    assert plant.manager.status()["manual_intervention"] is None


def test_one_that_runs_again_is_asked_again(plant: Plant) -> None:
    plant.policy = plant.policy.model_copy(update={"max_restart_count": 0})
    plant.beating = False
    plant.run(10 * SECOND)
    plant.beating = True
    plant.run(1)
    assert plant.safes == 2
    assert plant.now is not None
    assert plant.now.state == RtState.SAFE_MODE


def test_nobody_comes_in_its_place(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    """Who fails before it is PRIMARY, again and again, until its supervisor gives up."""
    plant.die()
    plant.run(59 * SECOND)
    assert plant.manager.status()["manual_intervention"] is None
    plant.run(2 * SECOND)
    assert "nothing has come in its place for 60 s" in plant.manager.absence
    assert plant.manager.status()["manual_intervention"] == plant.manager.absence
    assert caplog.text.count("MANUAL_INTERVENTION") == 1
    plant.start_another()
    plant.run(SECOND)
    assert plant.manager.absence == ""
    assert plant.safes == 0, "whoever comes is welcome"


def test_who_was_stopped_in_order_is_not_missed(plant: Plant) -> None:
    assert plant.now is not None
    plant.now = replace(plant.now, state=RtState.SHUTDOWN)
    plant.run(SECOND)
    plant.die()
    plant.run(100 * SECOND)
    assert plant.manager.absence == ""


def test_crashes_use_the_limit_up_too(plant: Plant) -> None:
    for _ in range(2):
        plant.die()
        plant.run(SECOND)
        assert not plant.intervention.reason
        plant.start_another()
        plant.run(SECOND)
    plant.die()
    plant.run(SECOND)
    assert "has died" in plant.intervention.reason


def test_deaths_between_two_looks_count(plant: Plant) -> None:
    plant.die()
    plant.dead |= {101, 102}
    plant.now = view(103, heartbeat_ns=plant.clock.monotonic_ns(), restart_count=3)
    plant.run(SECOND)
    assert plant.manager.status()["restarts_in_window"] == 3
    plant.die()
    plant.run(SECOND)
    assert plant.intervention.reason


def test_a_process_that_was_only_seen_dead_counts(plant: Plant) -> None:
    for pid in (100, 101, 102):
        plant.dead.add(pid)
        plant.now = view(pid, alive=False, restart_count=pid - 100)
        plant.run(1)
    assert plant.intervention.reason


def test_slow_deaths_do_not(plant: Plant) -> None:
    for _ in range(6):
        plant.die()
        plant.run(SECOND)
        plant.start_another()
        plant.run(60 * SECOND)
    assert not plant.intervention.reason


def test_restarts_are_counted_over_restarts_of_the_observer(plant: Plant) -> None:
    for used in (1, 2):
        plant.die()
        plant.run(SECOND)
        assert plant.manager.status()["restarts_in_window"] == used
        plant.manager = plant.make()
        plant.start_another()
        plant.run(SECOND)
        assert plant.manager.status()["restarts_in_window"] == used
    plant.die()
    plant.run(SECOND)
    assert "2 restarts within 60 s" in plant.intervention.reason
    plant.manager.reset()
    plant.manager = plant.make()
    assert plant.manager.status()["restarts_in_window"] == 0


def test_restarts_long_ago_are_forgotten_by_a_successor(plant: Plant) -> None:
    plant.die()
    plant.run(SECOND)
    plant.clock.advance(60_000 * MS)
    plant.manager = plant.make()
    assert plant.manager.status()["restarts_in_window"] == 0


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"boot_id": "BOOT"}',
        '{"boot_id": "BOOT", "restarts_ns": 7}',
        '{"boot_id": "BOOT", "restarts_ns": ["a"]}',
        '{"boot_id": "BOOT", "restarts_ns": [NaN]}',
        "[" * 70_000,
    ],
)
def test_a_damaged_record_is_said_and_counts_as_none(
    plant: Plant, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    plant.record.write_text(content.replace("BOOT", boot_id()))
    plant.manager = plant.make()
    assert plant.manager.status()["restarts_in_window"] == 0
    assert "test.restarts.json cannot be read" in caplog.text


def test_a_record_of_another_boot_or_of_the_future_counts_as_none(plant: Plant) -> None:
    now = plant.clock.monotonic_ns()
    plant.record.write_text(json.dumps({"boot_id": "0" * 31 + "1", "restarts_ns": [now - 1]}))
    assert plant.make().status()["restarts_in_window"] == 0
    plant.record.write_text(json.dumps({"boot_id": boot_id(), "restarts_ns": [now + 1]}))
    assert plant.make().status()["restarts_in_window"] == 0
    plant.record.write_text(json.dumps({"boot_id": boot_id(), "restarts_ns": [now - 1]}))
    assert plant.make().status()["restarts_in_window"] == 1


def test_without_its_folder_the_manager_goes_on(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    plant.record = plant.record.parent / "gone" / "test.restarts.json"
    plant.manager = plant.make()
    plant.run(2 * SECOND)
    plant.die()
    plant.run(SECOND)
    assert plant.manager.status()["restarts_in_window"] == 1
    assert "cannot be written" in caplog.text


def test_intervention_outlives_the_process_and_ends_by_reset(plant: Plant) -> None:
    plant.policy = plant.policy.model_copy(update={"max_restart_count": 0})
    plant.die()
    plant.run(SECOND)
    assert plant.intervention.reason
    plant.manager = plant.make()
    assert plant.manager.status()["manual_intervention"]
    plant.start_another()
    plant.run(SECOND)
    assert plant.safes == 1
    plant.manager.reset()
    assert plant.manager.status()["manual_intervention"] is None
    assert not plant.file.exists()
    assert plant.now is not None
    assert plant.now.state == RtState.PAUSED  # motion goes on only after RESUME
    plant.now = replace(plant.now, state=RtState.RUNNING)
    plant.run(5 * SECOND)
    assert plant.safes == 1


def test_an_unreadable_file_counts_as_the_worst(plant: Plant) -> None:
    plant.file.write_text("{")
    plant.make()
    assert "worst" in plant.intervention.reason


def left_in_order(plant: Plant, restart_count: int = 0) -> None:
    """Whoever ran last stops in order between two ticks: its pid is no longer in the segment."""
    assert plant.now is not None
    plant.dead.add(plant.now.pid)
    plant.now = view(
        0, process_start=0, alive=False, state=RtState.SHUTDOWN, restart_count=restart_count
    )


def test_a_stop_that_is_over_between_two_ticks_is_no_death(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    left_in_order(plant)
    plant.run(2)
    plant.now = None
    plant.run(SECOND)
    assert plant.manager.status()["restarts_in_window"] == 0
    assert "has died" not in caplog.text


def test_a_process_that_lived_between_two_ticks_after_a_stop_is_counted(plant: Plant) -> None:
    left_in_order(plant)
    plant.run(2)
    plant.now = view(150, alive=False, restart_count=1)
    plant.dead.add(150)
    plant.run(SECOND)
    assert plant.manager.status()["restarts_in_window"] == 1


def test_a_stop_of_its_successor_does_not_hide_a_death(plant: Plant) -> None:
    left_in_order(plant, restart_count=1)
    plant.run(SECOND)
    assert plant.manager.status()["restarts_in_window"] == 1


def test_an_orderly_stop_is_no_failure(plant: Plant) -> None:
    plant.policy = plant.policy.model_copy(update={"max_restart_count": 0})
    assert plant.now is not None
    plant.now = replace(plant.now, state=RtState.SHUTDOWN)
    plant.beating = False
    plant.run(10 * SECOND)
    plant.die()
    plant.run(SECOND)
    plant.now = None
    plant.run(10 * SECOND)
    assert not plant.asked
    assert not plant.killed
    assert not plant.intervention.reason


def test_a_planned_hand_over_is_no_failure(plant: Plant) -> None:
    plant.policy = plant.policy.model_copy(update={"max_restart_count": 0})
    plant.now = view(200, heartbeat_ns=plant.clock.monotonic_ns())  # 100 lives on as a standby
    plant.run(10 * SECOND)
    assert not plant.intervention.reason
    assert plant.manager.status()["restarts_in_window"] == 0


def test_live_thresholds(plant: Plant) -> None:
    plant.policy = plant.policy.model_copy(update={"failure_threshold": 1000})
    plant.beating = plant.main_beating = False
    plant.run(60 * SECOND)
    assert not plant.killed
    plant.policy = plant.policy.model_copy(update={"failure_threshold": 2})
    plant.run(2 * SECOND)
    assert len(plant.killed) == 1


def test_a_process_that_cannot_be_killed(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_target: Target) -> bool:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(plant, "kill", refuse)
    plant.beating = plant.main_beating = False
    plant.run(10 * SECOND)
    assert "cannot be killed" in caplog.text
