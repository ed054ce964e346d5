"""Placement of the Non-RT process with a kernel that the test plays."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nonrt_process.changes import Changes
from nonrt_process.health.documents import HealthDocuments
from nonrt_process.interfaces import HEALTHY, HealthStatus
from nonrt_process.placement import LinuxKernel, PlacementPlugin
from shared.config import ConfigError
from shared.config.models.cpu_affinity import ThreadPlacement
from shared.kernel.cpusets import Cpuset
from shared.kernel.isolation import Isolation
from shared.startup import EX_CONFIG, Refused
from tests.unit.nonrt_process.fakes import FakeContext, fake_context


class FakeMachine:
    def online_cpus(self) -> frozenset[int]:
        return frozenset({0, 1, 2, 3})

    def isolated_cpus(self) -> frozenset[int]:
        return frozenset({2, 3})

    def numa_nodes(self) -> dict[int, frozenset[int]]:
        return {0: self.online_cpus()}


@dataclass
class FakeKernel:
    may: set[int] = field(default_factory=lambda: {0, 1, 2, 3})
    refuses_scheduler: bool = False
    partition: frozenset[int] = frozenset()
    affinity: dict[int, set[int]] = field(default_factory=dict)
    scheduler: dict[int, tuple[int, int]] = field(default_factory=dict)

    def threads(self) -> list[int]:
        return [10, 11, 12]

    def names(self) -> dict[str, list[int]]:
        return {"heart": [10], "http": [11]}

    def allowed(self) -> set[int]:
        return self.may

    def isolation(self) -> Isolation:
        return Isolation(cpuset=Cpuset(2, "/mxrc", self.partition, bool(self.partition), "member"))

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None:
        if thread == 12:
            raise ProcessLookupError(errno.ESRCH, "No such process")
        if not set(cpus) & self.may:
            raise OSError(errno.EINVAL, "Invalid argument")
        self.affinity[thread] = set(cpus)

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None:
        if self.refuses_scheduler and policy != os.SCHED_OTHER:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.scheduler[thread] = (policy, priority)


def configure(context: FakeContext, **changes: object) -> None:
    current = context.config.current
    own = current.cpu_affinity.non_rt_process.model_copy(update=changes)
    affinity = current.cpu_affinity.model_copy(update={"non_rt_process": own})
    context.config.propose(replace(current, cpu_affinity=affinity), allow_restart_fields=True)


def test_auto_keeps_off_the_isolated_cpus(tmp_path: Path) -> None:
    kernel = FakeKernel()
    plugin = PlacementPlugin(fake_context(tmp_path), FakeMachine(), kernel)
    plugin.start()
    assert kernel.affinity == {10: {0, 1}, 11: {0, 1}}
    assert kernel.scheduler[10] == (os.SCHED_OTHER, 0)
    assert plugin.check(0) == HEALTHY


def test_auto_stays_within_what_a_container_allows(tmp_path: Path) -> None:
    kernel = FakeKernel(may={2})
    plugin = PlacementPlugin(fake_context(tmp_path), FakeMachine(), kernel)
    plugin.start()
    assert kernel.affinity[10] == {2}
    assert plugin.check(0) == HEALTHY


def test_a_change_takes_effect_at_once(tmp_path: Path) -> None:
    context, kernel = fake_context(tmp_path), FakeKernel()
    PlacementPlugin(context, FakeMachine(), kernel).start()
    configure(context, cpu_cores=(1,), policy="SCHED_FIFO", priority=5)
    assert kernel.affinity[11] == {1}
    assert kernel.scheduler[11] == (os.SCHED_FIFO, 5)


def test_what_is_not_to_be_had_degrades_with_the_remedy(tmp_path: Path) -> None:
    context, kernel = fake_context(tmp_path), FakeKernel(may={0}, refuses_scheduler=True)
    plugin = PlacementPlugin(context, FakeMachine(), kernel)
    configure(context, cpu_cores=(3,), policy="SCHED_FIFO", priority=5)
    finding = plugin.check(0)
    assert finding.status == HealthStatus.DEGRADED
    assert "CPU 3 (Invalid argument)" in finding.reason
    assert "CAP_SYS_NICE" in finding.reason
    configure(context, cpu_cores=(0,), policy="SCHED_OTHER", priority=0)
    assert plugin.check(0) == HEALTHY


def test_isolation_that_is_not_in_force_degrades_and_is_shown(tmp_path: Path) -> None:
    context, kernel = fake_context(tmp_path), FakeKernel()
    configure(context, cpu_cores=(0,), isolation_mode="CGROUPS", is_exclusive=False)
    plugin = PlacementPlugin(context, FakeMachine(), kernel)
    plugin.start()
    finding = plugin.check(0)
    assert finding.status == HealthStatus.DEGRADED
    assert "CPU 0 is not in a cpuset" in finding.reason
    shown = Changes(context).placement("cpu_affinity", "non_rt_process")
    assert shown["configured"]["isolation_mode"] == "CGROUPS"
    assert shown["in_force"] == {"cpu_cores": [0], "isolation_mode": "NONE"}
    details = HealthDocuments(context).details("non_rt_process")
    assert details["cpu_affinity"]["isolation_mode"] == "NONE"
    kernel.partition = frozenset({0})
    configure(context, cpu_cores=(0,), priority=0, policy="SCHED_OTHER", threads=())
    plugin.start()
    assert plugin.check(0) == HEALTHY
    assert plugin.isolation == "CGROUPS"


def test_an_exclusive_process_is_isolated_or_does_not_start(tmp_path: Path) -> None:
    context = fake_context(tmp_path)
    plugin = PlacementPlugin(context, FakeMachine(), FakeKernel())
    configure(context, cpu_cores=(1,))
    changes = {"isolation_mode": "ISOLCPUS", "is_exclusive": True}
    with pytest.raises(ConfigError, match=r"CPU 1 is not isolated .*isolcpus=1"):
        configure(context, **changes)
    assert plugin.check(0) == HEALTHY, "the change was refused"
    context = fake_context(tmp_path)
    configure(context, cpu_cores=(1,), **changes)
    with pytest.raises(Refused, match=r"cpu_affinity.json: \$.non_rt_process: is_exclusive") as one:
        PlacementPlugin(context, FakeMachine(), FakeKernel()).start()
    assert one.value.status == EX_CONFIG
    context = fake_context(tmp_path)
    configure(context, cpu_cores=(2, 3), **changes)
    PlacementPlugin(context, FakeMachine(), FakeKernel()).start()


def test_threads_are_placed_by_name_and_those_that_are_not_there_are_said(tmp_path: Path) -> None:
    context, kernel = fake_context(tmp_path), FakeKernel()
    threads = (
        ThreadPlacement(thread_name="heart", cpu_cores=(1,), policy="SCHED_FIFO", priority=7),
        ThreadPlacement(thread_name="nobody", policy="SCHED_OTHER"),
    )
    configure(context, cpu_cores=(0,), threads=threads, thread_name="front")
    plugin = PlacementPlugin(context, FakeMachine(), kernel)
    plugin.start()
    assert plugin.check(0) == HEALTHY, "most threads are not there yet"
    plugin.all_started()
    assert kernel.affinity == {10: {1}, 11: {0}}
    assert kernel.scheduler[10] == (os.SCHED_FIFO, 7)
    assert kernel.scheduler[11] == (os.SCHED_OTHER, 0)
    assert "no thread named nobody" in plugin.check(0).reason
    assert "name one of heart, http" in plugin.check(0).reason
    assert threading.main_thread().name == "front"


def test_the_threads_of_this_process_are_found() -> None:
    assert os.getpid() in LinuxKernel().threads()
    assert os.getpid() in LinuxKernel().names()[threading.main_thread().name[:15]]
