"""A CPU of the RT thread goes, and comes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rt_process.numa_policy import MemoryPolicyInForce
from rt_process.placement import Placement
from rt_process.upkeep import LOOK_NS, Upkeep
from shared.numa.pages import PageFiles
from tests.unit.rt_process.fakes import FakeSystem

THREAD = 4711


class Machine:
    """Whose kernel takes a thread off a CPU that goes, and leaves it there."""

    def __init__(self, folder: Path) -> None:
        self.system = FakeSystem()
        self.system.affinity[THREAD] = (3,)
        self.online = frozenset(range(4))
        self.event = False
        self.logged: list[str] = []
        self.said: list[str] = []
        self.placement = Placement("SCHED_FIFO", 80, (3,), (0,), "NONE")
        self.memory = MemoryPolicyInForce("LOCAL", 0, frozenset({0}), False, None)
        self.now_ns = LOOK_NS
        self.keeper = Upkeep(
            self,
            self.system,
            PageFiles("", folder),
            self,
            thread=lambda: THREAD,
            cpu=lambda: 3,
            primary=lambda: True,
            running=lambda: True,
            online=lambda: self.online,
            node_of=lambda _cpu: 0,
            log=lambda message, *_args: self.logged.append(message),
            say=self.said.append,
        )
        self.keeper.turn(self.now_ns)

    def seen(self) -> bool:
        event, self.event = self.event, False
        return event

    def goes(self) -> None:
        self.online = frozenset({0, 1, 2})
        self.system.affinity[THREAD] = (0, 1, 2)
        self.event = True

    def returns(self) -> None:
        self.online = frozenset(range(4))
        self.event = True

    def turn(self, later_ns: int = 1) -> None:
        self.now_ns += later_ns
        self.keeper.turn(self.now_ns)


def test_the_thread_goes_back_to_a_cpu_that_returns(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.goes()
    machine.turn()
    (reason,) = machine.keeper.reasons
    assert "CPU 3 of the RT thread is offline" in reason.what
    machine.returns()
    machine.turn()
    assert machine.system.affinity[THREAD] == (3,)
    assert machine.system.scheduler[THREAD] == (os.SCHED_FIFO, 80)
    assert machine.logged == ["AFFINITY_RESTORED"]
    assert machine.said == ["the RT thread is back on CPU 3"]
    assert machine.keeper.reasons == []


@pytest.mark.parametrize(("later_ns", "back"), [(1, False), (LOOK_NS, True)])
def test_where_no_uevent_arrives_it_is_seen_within_a_second(
    tmp_path: Path, later_ns: int, back: bool
) -> None:
    machine = Machine(tmp_path)
    machine.system.affinity[THREAD] = (0, 1, 2)
    machine.turn(later_ns)
    assert (machine.system.affinity[THREAD] == (3,)) is back


def test_a_thread_that_cannot_be_put_back_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.system.allowed = frozenset({0, 1})
    machine.goes()
    machine.returns()
    machine.turn()
    (reason,) = machine.keeper.reasons
    assert "cannot be put back" in reason.what
    assert machine.logged == []
