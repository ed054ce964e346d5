from __future__ import annotations

import os

import pytest

from rt_process.placement import move_thread, plan
from shared.startup import EX_CONFIG, Refused
from tests.unit.config.conftest import FakeMachine, Files
from tests.unit.rt_process.fakes import FakeSystem


def test_everything_granted(production: Files, machine: FakeMachine) -> None:
    system = FakeSystem()
    placement = plan(production.load(), system, machine)
    assert (placement.policy, placement.cpus) == ("SCHED_FIFO", (2, 3))
    assert placement.isolation == "ISOLCPUS"
    assert placement.reasons == ()
    assert system.scheduler[0] == (os.SCHED_OTHER, 0), "the main thread is not left at real time"
    assert set(system.affinity[0]) == set(placement.main_cpus) == {0, 1}
    move_thread(placement, 4711, system)
    assert system.affinity[4711] == (2, 3)
    assert system.scheduler[4711] == (os.SCHED_FIFO, placement.priority)


def test_without_the_right_it_runs_on_and_says_how_to_grant_it(
    files: Files, machine: FakeMachine
) -> None:
    placement = plan(files.load(), FakeSystem(may_real_time=False), machine)
    assert (placement.policy, placement.priority) == ("SCHED_OTHER", 0)
    (reason,) = placement.reasons
    assert "SCHED_FIFO priority 80" in reason.what
    assert "CAP_SYS_NICE" in reason.fix
    assert "LimitRTPRIO" in reason.fix
    document = placement.document()
    assert document["configured"]["policy"] == "SCHED_FIFO"
    assert document["in_force"]["policy"] == "SCHED_OTHER"


def test_exclusive_is_all_or_nothing(production: Files, machine: FakeMachine) -> None:
    config = production.load()
    with pytest.raises(Refused) as raised:
        plan(config, FakeSystem(may_real_time=False), machine)
    assert raised.value.status == EX_CONFIG
    assert "is_exclusive" in str(raised.value)
    assert "CAP_SYS_NICE" in str(raised.value)


def test_exclusive_needs_its_isolation(production: Files) -> None:
    config = production.load()
    not_isolated = FakeMachine(isolated=frozenset())
    with pytest.raises(Refused, match=r"not isolated .*isolcpus=2-3"):
        plan(config, FakeSystem(), not_isolated)


@pytest.mark.parametrize(
    ("mode", "isolated", "partition", "in_force", "complaints"),
    [
        ("NONE", set(), set(), "NONE", 0),
        ("NONE", {3}, set(), "ISOLCPUS", 0),
        ("ISOLCPUS", set(), {3}, "CGROUPS", 1),
        ("CGROUPS", {3}, set(), "ISOLCPUS", 1),
        ("CGROUPS", set(), {2, 3}, "CGROUPS", 0),
        ("HYBRID", {3}, {3}, "HYBRID", 0),
        ("HYBRID", set(), set(), "NONE", 2),
    ],
)
def test_the_isolation_really_in_force_is_reported(
    files: Files,
    mode: str,
    isolated: set[int],
    partition: set[int],
    in_force: str,
    complaints: int,
) -> None:
    def edit(document: dict[str, dict[str, object]]) -> None:
        document["rt_process"] |= {"isolation_mode": mode, "cpu_cores": [3]}

    files.change("cpu_affinity", edit)
    machine = FakeMachine(isolated=frozenset(isolated))
    placement = plan(files.load(), FakeSystem(partition=frozenset(partition)), machine)
    assert placement.isolation == in_force
    assert len(placement.reasons) == complaints


def test_auto_stays_within_the_cpuset(files: Files, machine: FakeMachine) -> None:
    placement = plan(files.load(), FakeSystem(allowed=frozenset({0, 1})), machine)
    assert placement.cpus == (1,)
    assert placement.main_cpus == (0,)
    assert placement.reasons == ()


def test_a_named_cpu_outside_the_cpuset_is_said(files: Files, machine: FakeMachine) -> None:
    files.change("cpu_affinity", lambda document: document["rt_process"].update(cpu_cores=[3]))
    placement = plan(files.load(), FakeSystem(allowed=frozenset({0, 1})), machine)
    assert placement.cpus == (0, 1)
    (reason,) = placement.reasons
    assert "CPU 3" in reason.what
    assert "0-1" in reason.fix


def test_busy_waiting_is_refused_where_throttling_is_in_force(
    files: Files, machine: FakeMachine
) -> None:
    files.change("rt_schedule", lambda document: document["wait"].update(mode="busy"))
    config = files.load()
    with pytest.raises(Refused, match="sched_rt_runtime_us=-1"):
        plan(config, FakeSystem(is_throttled=True), machine)
    assert plan(config, FakeSystem(is_throttled=False), machine).reasons == ()


def test_one_cpu_is_shared(files: Files) -> None:
    machine = FakeMachine(online=frozenset({0}), isolated=frozenset())
    placement = plan(files.load(machine=machine), FakeSystem(allowed=frozenset({0})), machine)
    assert placement.cpus == placement.main_cpus == (0,)


def test_threads_that_do_not_exist_are_said(files: Files, machine: FakeMachine) -> None:
    def edit(document: dict[str, dict[str, object]]) -> None:
        document["rt_process"]["threads"] = [{"thread_name": "nobody", "policy": "SCHED_OTHER"}]

    files.change("cpu_affinity", edit)
    (reason,) = plan(files.load(), FakeSystem(), machine).reasons
    assert "nobody" in reason.what
