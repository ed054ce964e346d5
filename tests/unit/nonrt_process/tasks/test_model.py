"""Every accepted execution ends in exactly one final status, whatever is killed in between.

The task plugin and the real executive against a plain model: what was accepted, what was asked to
be cancelled, during which of them RT died, was put into ERROR or reset, how often a trigger's
condition became true.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nonrt_process.interfaces import DuplicateActive, TaskEnded, TaskMode
from nonrt_process.tasks import dispatcher, service
from shared.enums import CommandKind, RtEvent, RtState
from tests.unit.nonrt_process.tasks.system import System, system

NAMES = [
    f"{kind}_{n}"
    for kind in ("wait", "resume", "restart", "fail", "late", "urgent")
    for n in (1, 2, 3)
]
WAY_BACK = {
    RtState.SAFE_MODE: RtEvent.SAFE_MODE_EXIT,
    RtState.ERROR: RtEvent.RESET,
    RtState.PAUSED: RtEvent.RESUME,
}
"""To RUNNING."""
ENDLESS: dict[str, TaskMode] = {"every_1": "periodic", "trig_1": "triggered"}


class Lifecycle(RuleBasedStateMachine):
    """Rules are what happens to an instance; `teardown` lets it finish and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.accepted: dict[int, str] = {}
        self.keys: dict[int, str] = {}
        self.cancelled: set[int] = set()
        self.crashed_during: set[int] = set()
        self.error_during: set[int] = set()
        self.reset_during: set[int] = set()
        self.key_is = False
        self.edges = 0
        self.edges_before: dict[int, int] = {}
        self.it: System

    @initialize()
    def begin(self) -> None:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.it = self.stack.enter_context(system(folder, limit=1000))

    def has_nonrt(self) -> bool:
        return hasattr(self, "it") and self.it.pump is not None

    def has_rt(self) -> bool:
        return hasattr(self, "it") and self.it._exec is not None

    @precondition(lambda self: self.has_nonrt())
    @rule(name=st.sampled_from(list(ENDLESS)))
    def start_endless(self, name: str) -> None:
        self.start(name)

    @precondition(lambda self: self.has_nonrt())
    @rule(name=st.sampled_from(NAMES))
    def start(self, name: str) -> None:
        active = {one.task_id for one in self.it.book.active()}
        key = f"key-{len(self.accepted)}"
        try:
            accepted = self.it.start(name, ENDLESS.get(name, "once"), key=key)
        except DuplicateActive:
            assert name in active
            return
        assert name not in active
        assert accepted.execution_id not in self.accepted, "an id is given once"
        self.accepted[accepted.execution_id] = name
        self.edges_before[accepted.execution_id] = self.edges
        self.keys[accepted.execution_id] = key

    @precondition(lambda self: self.has_nonrt() and self.accepted)
    @rule(data=st.data())
    def start_again(self, data: st.DataObject) -> None:
        execution = data.draw(st.sampled_from(sorted(self.accepted)))
        name = self.accepted[execution]
        again = self.it.start(name, ENDLESS.get(name, "once"), key=self.keys[execution])
        assert again.execution_id == execution, "a retry is the same start"

    @precondition(lambda self: self.has_nonrt() and self.has_rt() and self.accepted)
    @rule(data=st.data(), kind=st.sampled_from([CommandKind.TASK_PAUSE, CommandKind.TASK_RESUME]))
    def steer(self, data: st.DataObject, kind: CommandKind) -> None:
        self.it.steer(kind, data.draw(st.sampled_from(sorted(self.accepted))))

    @precondition(lambda self: self.has_nonrt())
    @rule(value=st.booleans())
    def trigger(self, value: bool) -> None:
        self.edges += value and not self.key_is
        self.key_is = value
        self.it.trigger(value)

    @precondition(lambda self: self.has_nonrt() and self.accepted)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(set(self.accepted.values()))))
        try:
            info = self.it.tasks.cancel(name)
        except TaskEnded:
            return
        self.cancelled.add(info["execution_id"])

    @precondition(lambda self: self.has_rt())
    @rule(count=st.integers(1, 15))
    def cycles(self, count: int) -> None:
        self.it.cycles(count)

    @precondition(lambda self: self.has_nonrt())
    @rule()
    def dispatch(self) -> None:
        self.it.dispatch()

    @precondition(lambda self: self.has_nonrt())
    @rule()
    def turn(self) -> None:
        self.it.turn()

    def open(self) -> set[int]:
        """Executions that RT has not ended."""
        return self.accepted.keys() - {execution for execution, _ in self.it.ended}

    @precondition(lambda self: self.has_rt())
    @rule()
    def rt_dies(self) -> None:
        self.crashed_during |= self.open()
        self.it.rt_crash()

    @precondition(lambda self: hasattr(self, "it") and not self.has_rt())
    @rule()
    def rt_starts(self) -> None:
        self.it.rt_start()

    @precondition(lambda self: self.has_nonrt())
    @rule(in_batch=st.booleans())
    def nonrt_dies(self, in_batch: bool) -> None:
        self.it.nonrt_crash(in_batch)

    @precondition(lambda self: hasattr(self, "it") and not self.has_nonrt())
    @rule()
    def nonrt_starts(self) -> None:
        self.it.nonrt_start()
        self.it.turn()

    @precondition(lambda self: self.has_rt() and self.has_nonrt())
    @rule(
        event=st.sampled_from(
            [RtEvent.PAUSE, RtEvent.RESUME, RtEvent.SAFE_MODE_ENTER, RtEvent.SAFE_MODE_EXIT]
        )
    )
    def state(self, event: RtEvent) -> None:
        self.it.state(event)

    @precondition(lambda self: self.has_rt() and self.has_nonrt())
    @rule()
    def error(self) -> None:
        """What RT has fails; what waits to be sent goes on waiting."""
        self.error_during |= self.open()
        self.it.state(RtEvent.ERROR_OCCUR)

    @precondition(lambda self: self.has_rt() and self.has_nonrt())
    @rule()
    def reset(self) -> None:
        """In ERROR, PAUSED or READY: what RT has is cancelled, and it begins anew."""
        self.reset_during |= self.open()
        self.it.state(RtEvent.RESET)

    def teardown(self) -> None:
        try:
            if hasattr(self, "it"):
                self.finish()
        finally:
            self.stack.close()

    def finish(self) -> None:
        it = self.it
        if not self.has_rt():
            it.rt_start()
        if not self.has_nonrt():
            it.nonrt_start()
        it.work(10)
        for _ in range(3):
            event = WAY_BACK.get(it.rt_state())
            if event is not None:
                if event == RtEvent.RESET:
                    self.reset_during |= self.open()
                it.state(event)
            it.work(3)
        assert it.rt_state() == RtState.RUNNING
        self.resume_all()
        self.run_endless()
        it.settle()
        rows, total = it.journal.page(0, 10_000, None)
        status = {row["execution_id"]: row["status"] for row in rows}
        error = {row["execution_id"]: row["error"] for row in rows}
        assert total == len(rows)
        assert status.keys() == self.accepted.keys(), "none lost, none invented"
        for execution, name in self.accepted.items():
            allowed = {"FAILED" if name.startswith("late") else "COMPLETED"}
            if name in ENDLESS:
                allowed = set()
            if execution in self.cancelled | self.reset_during:
                allowed.add("CANCELLED")
            reasons = set()
            if name.startswith("late"):
                reasons.add("ERR_TIMEOUT")
            if name.startswith("fail") and execution in self.crashed_during:
                reasons.add("ERR_RESTART")
            if execution in self.error_during:
                reasons.add("ERR_ERROR_STATE")
            if reasons:
                allowed.add("FAILED")
            assert status[execution] in allowed, name
            if status[execution] == "FAILED":
                assert error[execution] in reasons, name
            ends = [
                kind
                for (one, kind), count in it.ended.items()
                for _ in range(count)
                if one == execution
            ]
            if status[execution] == "CANCELLED":
                assert len(ends) <= 1
            elif status[execution] == "COMPLETED":
                assert len(ends) == 1, f"{name} ran more than once: {ends}"
            else:
                # A second crash before the first new state block repeats what the policy says.
                assert set(ends) == {"FAILED"}, f"{name} ended in RT as {ends}"
        counts = it.tasks.counts_by_status()
        assert sum(counts.values()) == total
        assert counts["PENDING"] == counts["RUNNING"] == 0

    def resume_all(self) -> None:
        self.it.work(3)
        for execution in self.it.book.in_flight():
            self.it.steer(CommandKind.TASK_RESUME, execution.execution_id)
        self.it.work(3)

    def run_endless(self) -> None:
        """Periodic and triggered tasks still run, whatever came before; then they are cancelled."""
        it = self.it
        active = {one.task_id for one in it.book.active()}
        for name in ENDLESS.keys() - active:
            accepted = it.start(name, ENDLESS[name])
            self.accepted[accepted.execution_id] = name
            self.edges_before[accepted.execution_id] = self.edges
        for _ in range(200):
            left = {one.task_id: one.status for one in it.book.active()}
            if left == dict.fromkeys(ENDLESS, "RUNNING"):
                break
            it.work()
        begun = {one.execution_id: it.runs(one.execution_id) for one in it.book.in_flight()}
        assert len(begun) == len(it.book.active())
        for value in (False, True, False, True):
            self.trigger(value)
            it.cycles(30)
        for one, before in begun.items():
            after = it.runs(one)
            assert before is not None
            assert after is not None
            assert after > before, self.accepted[one]
            if ENDLESS[self.accepted[one]] == "triggered":
                assert after <= self.edges - self.edges_before[one], "an edge fired twice"
        for execution in it.book.active():
            it.tasks.cancel(execution.task_id)
            self.cancelled.add(execution.execution_id)


def run(examples: int, steps: int = 35) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "RT_ABSENT_NS", 1 << 62)
        patch.setattr(dispatcher, "PAUSE_S", 0.0)
        run_state_machine_as_test(
            Lifecycle,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                phases=[Phase.generate],  # shrinking takes longer than all else
            ),
        )


def test_every_accepted_execution_ends_once() -> None:
    run(40)
