"""After a stop in order nothing moves by itself, whoever of the two processes saw it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nonrt_process.tasks.stops import BEGAN_ANEW, STOPPED
from shared.enums import CommandKind, RtEvent, RtState
from tests.unit.nonrt_process.fakes import real_segment
from tests.unit.nonrt_process.tasks.system import System, system

NAMES = ("resume_1", "resume_2", "restart_1", "every_1")


def busy(it: System) -> None:
    """One axis for three: the first runs, the others wait. `every_1` is periodic."""
    clock = it.context.clock
    clock.step_realtime(it.nonrt.generation - clock.realtime_ns())  # the next one comes later
    for name in NAMES[:3]:
        it.start(name)
    it.start("every_1", mode="periodic")
    it.work(2, cycles=4)
    assert [it.status(name) for name in NAMES] == ["RUNNING", "PENDING", "PENDING", "RUNNING"]


def stop(it: System) -> None:
    it.state(RtEvent.STOP)
    it.cycles(1)
    assert it.rt_state() == RtState.SHUTDOWN


def successor(it: System, tmp_path: Path, last_recovery: int) -> dict[str, str]:
    """Status of each task after the next start, in a generation of its own."""
    with real_segment(tmp_path, event_slots=4096, command_slots=64) as (rt, nonrt):
        it.rt, it.nonrt = rt, nonrt
        it.context.heart.segment = nonrt
        it._readers.clear()
        it.rt_start()
        it.rt.rt_status.last_recovery = last_recovery
        if it.pump is None:
            it.nonrt_start()
        it.work(30)
        found = {name: it.status(name) for name in NAMES}
        it.close()
        it.rt = it.nonrt = None  # type: ignore[assignment]
        return found


def test_what_waits_is_cancelled_with_what_runs(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        busy(it)
        stop(it)
        it.turn()
        it.turn()
        assert {name: it.status(name) for name in NAMES} == dict.fromkeys(NAMES, "CANCELLED")
        assert it.tasks.get("resume_2")["error"] == STOPPED
        it.rt_crash()
        assert successor(it, tmp_path, 0) == dict.fromkeys(NAMES, "CANCELLED")
        assert sum(it.begun.values()) == 2


def test_a_stop_that_this_process_did_not_see(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        busy(it)
        it.nonrt_crash()
        begun = dict(it.begun)
        it.rt_crash()
        assert successor(it, tmp_path, 0) == dict.fromkeys(NAMES, "CANCELLED")
        assert dict(it.begun) == begun, "nothing was begun by itself"
        it.journal.store.open()
        row = it.journal.newest("restart_1")
        assert row is not None
        assert row["error"] == BEGAN_ANEW
        it.journal.store.close()


@pytest.mark.parametrize("seen", [True, False])
def test_a_stop_that_rt_did_not_live_to_finish(tmp_path: Path, seen: bool) -> None:
    """RT comes back into the same generation; the stop was seen here, or this process was away."""
    with system(tmp_path) as it:
        it.start("resume_1")
        it.work(2)
        for name in NAMES[1:3]:
            it.start(name)
        it.start("every_1", mode="periodic")
        it.state(RtEvent.STOP)
        it.dispatch()  # every_1 is in the queue behind the STOP
        if not seen:
            it.nonrt_crash()
        it.cycles(1)
        assert it.rt_state() == RtState.SHUTDOWN
        it.turn()
        it.rt_crash()
        begun = dict(it.begun)
        it.context.clock.advance(10**9)
        it.clocks_in_step()
        it.rt_start()
        it.cycles(1)
        if not seen:
            it.nonrt_start()
        it.work(30)
        assert {name: it.status(name) for name in NAMES} == dict.fromkeys(NAMES, "CANCELLED")
        assert dict(it.begun) == begun, "nothing was begun by itself"
        it.start("resume_1")
        it.work(30)
        assert it.status("resume_1") == "COMPLETED"


def test_the_wall_clock_is_set_back_and_this_process_restarted(tmp_path: Path) -> None:
    """What RT has was accepted at an earlier time of day than RT began: that is no stop."""
    with system(tmp_path, start=False) as it:
        it.context.clock.advance(10**9)
        it.clocks_in_step()
        it.rt_start()
        it.cycles(5)
        it.nonrt_start()
        it.turn()
        it.context.clock.step_realtime(-3600 * 10**9)
        it.start("long_1")
        it.work(2)
        it.nonrt_crash()
        it.nonrt_start()
        it.work(5)
        assert it.status("long_1") == "RUNNING"
        assert not it.tasks.get("long_1")["cancel_requested"]


def test_what_rt_has_is_known_when_its_command_is_overwritten(tmp_path: Path) -> None:
    """A triggered task that never ran is PENDING; cancelled by a restarted process, it is over."""
    with system(tmp_path) as it:
        execution = it.start("trig_1", mode="triggered").execution_id
        it.work(2)
        assert it.runs(execution) == 0
        for _ in range(70):  # the queue has 64 places
            it.steer(CommandKind.TASK_RESUME, execution)
            it.cycles(1)
        it.state(RtEvent.SAFE_MODE_ENTER)  # nothing is sent now
        it.cycles(2)
        it.nonrt_crash()
        it.nonrt_start()
        it.turn()
        it.tasks.cancel("trig_1")
        it.work(10)
        assert it.status("trig_1") == "CANCELLED"
        assert it.runs(execution) is None, "RT does not know it any more either"


def test_after_a_crash_they_are_begun(tmp_path: Path) -> None:
    """The same with a state to go on from."""
    with system(tmp_path) as it:
        busy(it)
        it.nonrt_crash()
        it.rt_crash()
        found = successor(it, tmp_path, 2)
        assert found == {**dict.fromkeys(NAMES[:3], "COMPLETED"), "every_1": "RUNNING"}


def test_rt_goes_away_before_this_process_has_read_the_end(tmp_path: Path) -> None:
    with system(tmp_path) as it:
        busy(it)
        stop(it)
        it.rt_crash()
        it.context.heart.segment = None
        it.turn()  # detached: nobody tells the ends of what RT had any more
        assert it.status("resume_2") == "CANCELLED"
        assert successor(it, tmp_path, 2) == dict.fromkeys(NAMES, "CANCELLED")
