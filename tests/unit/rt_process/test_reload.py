from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any

import pytest

from rt_process.executive import ExecutiveError
from rt_process.numa_policy import MemoryPolicyInForce, set_memory_policy
from rt_process.placement import Placement, move_thread, plan
from rt_process.reload import Reloader
from shared.config import Config, ConfigStore
from tests.unit.config.conftest import FakeMachine, Files
from tests.unit.rt_process.fakes import SLEEPER, FakeNuma, FakeSystem

THREAD = 4711


class Setup:
    def __init__(self, files: Files, system: FakeSystem | None = None) -> None:
        self.files, self.system, self.machine = files, system or FakeSystem(), FakeMachine()
        self.applied: list[int] = []
        self.fails = False
        self.numa = FakeNuma()
        self.logged: list[tuple[Any, ...]] = []
        config = files.load()
        self.store = ConfigStore(config)
        self.stall_timeouts_ms: list[int] = []
        self.margins: list[tuple[int, int]] = []
        self.reloader = Reloader(
            self.store,
            plan(config, self.system, self.machine),
            self.set_memory(config, plan(config, self.system, self.machine)),
            self,
            self.system,
            self.machine,
            thread=lambda: THREAD,
            load=files.load,
            log=lambda *args: self.logged.append(args),
            set_memory=self.set_memory,
            memory_changed=lambda: self.logged.append(("memory",)),
        )

    def set_memory(self, config: Config, placement: Placement) -> MemoryPolicyInForce:
        return set_memory_policy(config, placement.cpus, self.machine, lambda: self.numa)

    def reload_memory(self) -> tuple[str, str]:
        """What is said to be in force after a reload, and what is."""
        self.reloader.reload()
        return self.reloader.memory.policy, self.numa.in_force[0]

    def apply(self, live: Any) -> None:
        if self.fails:
            raise ExecutiveError("the RT thread does not take over new settings")
        self.applied.append(int(live.heartbeat_timeout_ns))
        self.stall_timeouts_ms.append(int(live.stall_timeout_ns) // 1_000_000)
        self.margins.append((int(live.spin_margin_ns) // 1000, int(live.spin_margin_auto)))


def test_nothing_changed(files: Files) -> None:
    setup = Setup(files)
    assert setup.reloader.reload() == "configuration unchanged"
    assert not setup.applied
    assert not setup.logged


def test_live_settings_reach_the_executive(files: Files) -> None:
    setup = Setup(files)
    files.change("rt_schedule", lambda document: document.update(heartbeat_timeout_ms=900))
    assert "rt_schedule.json $.heartbeat_timeout_ms" in setup.reloader.reload()
    assert setup.applied == [900_000_000]
    assert setup.logged == [("CONFIG_CHANGED", 1)]
    assert setup.store.current.rt_schedule.heartbeat_timeout_ms == 900


def test_the_running_thread_is_moved(files: Files) -> None:
    setup = Setup(files)

    def edit(document: dict[str, dict[str, object]]) -> None:
        document["rt_process"] |= {"cpu_cores": [1], "priority": 55}

    files.change("cpu_affinity", edit)
    setup.reloader.reload()
    assert setup.system.affinity[THREAD] == (1,)
    assert setup.system.scheduler[THREAD] == (os.SCHED_FIFO, 55)
    assert setup.reloader.placement.cpus == (1,)


def test_broken_files_leave_everything_as_it_is(files: Files) -> None:
    setup = Setup(files)
    before = setup.store.current
    files.change("rt_schedule", lambda document: document.update(heartbeat_timeout_ms=-1))
    text = setup.reloader.reload()
    assert "refused, the old one stays in force" in text
    assert "$.heartbeat_timeout_ms" in text
    assert setup.store.current is before
    assert setup.applied == []
    assert setup.logged == [("CONFIG_REFUSED", 1)]


def test_a_field_that_needs_a_restart_is_refused_with_everything_else(files: Files) -> None:
    setup = Setup(files)

    def edit(document: dict[str, object]) -> None:
        document |= {"period_us": 2000, "heartbeat_timeout_ms": 900}

    files.change("rt_schedule", edit)
    assert "$.period_us" in setup.reloader.reload()
    assert setup.applied == []


def test_when_the_thread_takes_nothing_the_old_placement_comes_back(files: Files) -> None:
    setup = Setup(files)
    setup.fails = True
    old = setup.reloader.placement
    files.change("cpu_affinity", lambda document: document["rt_process"].update(cpu_cores=[1]))
    files.change("rt_schedule", lambda document: document.update(heartbeat_timeout_ms=900))
    assert "does not take over" in setup.reloader.reload()
    assert setup.reloader.placement is old
    assert setup.system.affinity.get(THREAD, old.cpus) == old.cpus


def test_a_placement_that_is_not_to_be_had_is_refused(production: Files) -> None:
    setup = Setup(production)
    setup.system.may_real_time = False
    production.change("cpu_affinity", lambda document: document["rt_process"].update(priority=50))
    text = setup.reloader.reload()
    assert "CAP_SYS_NICE" in text
    assert THREAD not in setup.system.scheduler


def test_a_change_is_tried_without_the_main_thread(production: Files) -> None:
    setup = Setup(production)
    refused = {"cpu_affinity": {"rt_process": {"cpu_cores": [1], "isolation_mode": "ISOLCPUS"}}}
    refused["cpu_affinity"]["non_rt_process"] = {"cpu_cores": [0]}
    setup.system.calls.clear()
    ok, text = setup.reloader.change(refused, "request")
    assert not ok
    assert "is not isolated" in text
    assert {thread for thread, _what in setup.system.calls} == {SLEEPER}
    assert setup.reloader.change({"cpu_affinity": {"rt_process": {"priority": 60}}}, "request")[0]
    mains = [what for thread, what in setup.system.calls if thread == 0]
    assert set(mains) == {(0, 1)}, "never on a CPU of the RT thread, never at real time"
    asleep = [what for thread, what in setup.system.calls if thread == SLEEPER]
    assert asleep.index(os.SCHED_OTHER) < asleep.index((2, 3)), "not beside the RT thread"


def test_the_main_thread_is_out_of_the_way_while_the_rt_thread_moves(files: Files) -> None:
    setup = Setup(files)
    setup.system.affinity[0] = setup.reloader.placement.main_cpus
    setup.system.calls.clear()
    change = {"rt_process": {"cpu_cores": [1]}, "non_rt_process": {"cpu_cores": [0, 2]}}
    assert setup.reloader.change({"cpu_affinity": change}, "request")[0]
    moves = [call for call in setup.system.calls if call[0] in (0, THREAD)]
    assert moves == [(0, (0,)), (THREAD, os.SCHED_FIFO), (THREAD, (1,)), (0, (0, 2))]


def with_deadline(runtime_us: int) -> dict[str, object]:
    times = {"dl_runtime_us": runtime_us, "dl_deadline_us": 1000, "dl_period_us": 1000}
    return {"policy": "SCHED_DEADLINE", "priority": 0, **times}


def test_a_deadline_reservation_is_changed_and_not_asked_for_twice(production: Files) -> None:
    def edit(document: dict[str, dict[str, object]]) -> None:
        document["rt_process"] |= {"isolation_mode": "CGROUPS", **with_deadline(600)}

    production.change("cpu_affinity", edit)
    production.change("rt_schedule", lambda document: document["wait"].update(mode="sleep"))
    setup = Setup(production, FakeSystem(partition=frozenset({2, 3})))
    move_thread(setup.reloader.placement, THREAD, setup.system)
    setup.system.calls.clear()
    for runtime_us, taken in ((700, True), (990, False), (800, True)):
        before = setup.system.deadline[THREAD]
        change = {"cpu_affinity": {"rt_process": with_deadline(runtime_us)}}
        ok, text = setup.reloader.change(change, "request")
        assert ok is taken
        after = (runtime_us * 1000, 1_000_000, 1_000_000) if taken else before
        assert setup.system.deadline == {THREAD: after}
        assert taken or "mxrc cpuset create --root" in text
    assert (THREAD, os.SCHED_OTHER) not in setup.system.calls, "it is at real time all along"


def test_what_cannot_be_put_back_is_said(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(files)
    mains = setup.system.affinity[0]

    def refuse(thread: int, _cpus: Iterable[int]) -> None:
        if thread == THREAD:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(setup.system, "set_affinity", refuse)
    ok, text = setup.reloader.change({"cpu_affinity": {"rt_process": {"priority": 60}}}, "request")
    assert not ok
    assert "invalid argument" in text
    assert setup.system.affinity[0] == mains
    (reason,) = setup.reloader.placement.reasons
    assert "not placed as before" in reason.what


def test_a_refusal_names_the_file_and_the_path_that_it_is_about_once(production: Files) -> None:
    setup = Setup(production)
    setup.numa.refuses = True
    numa = {"rt_process": {"memory_policy": "PREFERRED"}}
    _ok, text = setup.reloader.change({"numa_binding": numa}, "request")
    file = production.folder / "numa_binding.json"
    assert text.splitlines()[1].startswith(f"{file}: $.rt_process: strict_binding is true, and ")
    assert text.count("numa_binding.json") == 1
    assert "cpu_affinity" not in text
    (lost,) = setup.reloader.memory.reasons
    assert "not placed as before" in lost.what
    busy = {"rt_schedule": {"wait": {"mode": "busy"}}, "cpu_affinity": {"rt_process": {}}}
    _ok, text = setup.reloader.change(busy, "request")
    assert text.splitlines()[1].startswith(f"{production.folder}/rt_schedule.json: $.wait.mode: ")
    assert text.count("rt_schedule.json") == 1
    alone = {"rt_process": {"cpu_cores": [1], "isolation_mode": "HYBRID"}}
    alone["non_rt_process"] = {"cpu_cores": [0]}
    _ok, text = setup.reloader.change({"cpu_affinity": alone}, "request")
    file = production.folder / "cpu_affinity.json"
    assert [line.startswith(f"{file}: $.rt_process: is_exc") for line in text.splitlines()[1:]] == [
        True,
        True,
    ]


def test_busy_waiting_is_refused_live_where_throttling_is_in_force(files: Files) -> None:
    setup = Setup(files)
    files.change("rt_schedule", lambda document: document["wait"].update(mode="busy"))
    assert "sched_rt_runtime_us" in setup.reloader.reload()
    assert setup.applied == []
    assert setup.store.current.rt_schedule.wait.mode == "sleep"


def test_a_new_memory_policy_is_set_and_announced(files: Files) -> None:
    setup = Setup(files)

    def edit(document: dict[str, dict[str, object]]) -> None:
        document["rt_process"] |= {"memory_policy": "BIND", "numa_node": 1, "strict_binding": True}

    files.change("numa_binding", edit)
    assert "numa_binding.json" in setup.reloader.reload()
    assert setup.numa.in_force == ("BIND", (1,))
    assert ("memory",) in setup.logged
    setup.numa.refuses = True
    files.change("numa_binding", lambda document: document["rt_process"].update(numa_node=0))
    assert "strict_binding" in setup.reloader.reload()
    assert setup.reloader.memory.target == 1
    assert setup.numa.in_force == ("BIND", (1,))
    files.change(
        "numa_binding", lambda document: document["rt_process"].update(strict_binding=False)
    )
    assert setup.reload_memory() == ("LOCAL", "LOCAL")


def test_migrate_pages_alone_is_a_change_of_memory(files: Files) -> None:
    setup = Setup(files)
    change = {"numa_binding": {"rt_process": {"migrate_pages": True}}}
    assert setup.reloader.change(change, "request")[0]
    assert setup.logged.count(("memory",)) == 1
    assert setup.reloader.memory.migrate
    other = {"numa_binding": {"rt_process": {"cpu_cores_hint": [0]}}}
    assert setup.reloader.change(other, "request")[0]
    assert setup.logged.count(("memory",)) == 1


def test_a_change_from_outside_is_whole_or_nothing(files: Files) -> None:
    setup = Setup(files)
    bad = {"cpu_affinity": {"rt_process": {"priority": 60, "cpu_cores": [77]}}}
    ok, text = setup.reloader.change(bad, "request")
    assert (ok, THREAD in setup.system.scheduler) == (False, False)
    assert "must be a CPU that exists" in text
    good = {"cpu_affinity": {"rt_process": {"priority": 60}}}
    assert setup.reloader.change(good, "request")[0]
    assert setup.system.scheduler[THREAD] == (os.SCHED_FIFO, 60)


def wait_mode(files: Files, mode: str, margin: int | str) -> None:
    files.change(
        "rt_schedule",
        lambda document: document.update(wait={"mode": mode, "spin_margin_us": margin}),
    )


def test_the_wait_mode_and_its_margin_reach_the_executive(files: Files) -> None:
    setup = Setup(files)
    for margin, reached in ((70, (70, 0)), ("auto", (0, 1)), (40, (40, 0))):
        wait_mode(files, "hybrid", margin)
        assert "$.wait" in setup.reloader.reload()
        assert setup.margins[-1] == reached
    wait_mode(files, "hybrid", 501)
    assert "must be at most half of period_us" in setup.reloader.reload()
    assert setup.margins[-1] == (40, 0)


def test_the_stall_timeout_reaches_the_executive_with_or_without_its_other_settings(
    files: Files,
) -> None:
    setup = Setup(files)
    files.change(
        "failover_policy", lambda document: document["rt_process"].update(stall_timeout_ms=20)
    )
    assert "$.rt_process.stall_timeout_ms" in setup.reloader.reload()
    assert setup.stall_timeouts_ms == [20]
    files.change(
        "failover_policy", lambda document: document["rt_process"].update(stall_timeout_ms=30)
    )
    wait_mode(files, "hybrid", 501)
    assert "refused" in setup.reloader.reload()
    wait_mode(files, "hybrid", 50)
    setup.reloader.reload()
    assert setup.stall_timeouts_ms[1:] == [30, 30]
    assert setup.margins[-1] == (50, 0)
