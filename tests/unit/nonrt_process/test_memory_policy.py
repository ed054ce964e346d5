"""The memory policy of the Non-RT process, with a kernel that the test plays."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nonrt_process.interfaces import HEALTHY, HealthStatus, MemoryPlacement
from nonrt_process.memory_policy import MemoryPolicyPlugin
from shared.config import ConfigError
from shared.config.models.numa_binding import MemoryPolicy
from shared.numa.libnuma import NumaUnavailableError
from shared.numa.pages import PageFiles
from shared.numa.threads import set_policy_everywhere
from shared.startup import Refused
from tests.processes import wait_for
from tests.unit.nonrt_process.fakes import FakeContext, fake_context


class TwoNodes:
    def online_cpus(self) -> frozenset[int]:
        return frozenset({0, 1})

    def isolated_cpus(self) -> frozenset[int]:
        return frozenset()

    def numa_nodes(self) -> dict[int, frozenset[int]]:
        return {0: frozenset({0}), 1: frozenset({1})}


class FakeNuma:
    """deaf: the wrong variant, which says yes and does nothing. pages: node by address."""

    def __init__(self, deaf: bool = False, pages: dict[int, int] | None = None) -> None:
        self.deaf = deaf
        self.pages = pages or {}
        self.now: tuple[MemoryPolicy | None, frozenset[int]] = ("LOCAL", frozenset())

    def set_policy(self, policy: MemoryPolicy, nodes: Iterable[int]) -> None:
        if not self.deaf:
            self.now = policy, frozenset(nodes)

    def policy(self) -> tuple[MemoryPolicy | None, frozenset[int]]:
        return self.now

    def bind_range(self, address: int, size: int, node: int, *, move: bool) -> None:
        raise AssertionError

    def nodes_of(self, addresses: Sequence[int]) -> list[int]:
        return [self.pages.get(address, -errno.ENOENT) for address in addresses]

    def move(self, addresses: Sequence[int], node: int, *, shared: bool) -> list[int]:
        assert not shared, "what RT maps too is not moved by this process"
        self.pages.update(dict.fromkeys(addresses, node))
        return [node] * len(addresses)


@dataclass
class FakeThreads:
    """policies: of each thread. deaf: blocks signals. refuses: answers with this errno."""

    policies: dict[int, tuple[MemoryPolicy, frozenset[int]]] = field(
        default_factory=lambda: {10: ("LOCAL", frozenset()), 11: ("LOCAL", frozenset())}
    )
    deaf: int = 0
    refuses: int = 0
    ends: int = 0
    born: int = 0

    def threads(self) -> set[int]:
        return set(self.policies)

    def set_policy(self, thread: int, policy: MemoryPolicy, nodes: frozenset[int]) -> int:
        if thread == self.deaf:
            return errno.ETIMEDOUT
        if thread == self.ends:
            del self.policies[thread]
            return errno.ESRCH
        if thread == 11 and policy == "BIND" and self.refuses:
            return self.refuses
        if self.born:  # by a thread that has the old policy still
            self.policies[self.born], self.born = self.policies[11], 0
        self.policies[thread] = policy, nodes
        return 0


def configure(context: FakeContext, **changes: object) -> None:
    current = context.config.current
    own = current.numa_binding.non_rt_process.model_copy(update=changes)
    binding = current.numa_binding.model_copy(update={"non_rt_process": own})
    context.config.propose(replace(current, numa_binding=binding))


def started(
    tmp_path: Path,
    make_numa: Callable[[], FakeNuma],
    threads: FakeThreads | None = None,
    **changes: object,
) -> tuple[FakeContext, MemoryPolicyPlugin]:
    context = fake_context(tmp_path)
    configure(context, **changes)
    files = PageFiles("", tmp_path)
    plugin = MemoryPolicyPlugin(context, TwoNodes(), make_numa, threads or FakeThreads(), files)
    plugin.start()
    return context, plugin


def absent() -> FakeNuma:
    raise NumaUnavailableError("libnuma is not installed", "install libnuma1")


@pytest.mark.parametrize(
    ("policy", "nodes"), [("BIND", {1}), ("PREFERRED", {1}), ("INTERLEAVE", {0, 1})]
)
def test_it_is_set_and_verified(tmp_path: Path, policy: MemoryPolicy, nodes: set[int]) -> None:
    numa = FakeNuma()
    context, plugin = started(tmp_path, lambda: numa, memory_policy=policy, numa_node=1)
    assert numa.now == (policy, frozenset(nodes))
    assert plugin.check(0) == HEALTHY
    placed = context.get(MemoryPlacement)
    assert placed is not None
    assert placed.in_force == policy


def test_local_is_what_the_kernel_does_and_needs_no_library(tmp_path: Path) -> None:
    _, plugin = started(tmp_path, absent, memory_policy="LOCAL", strict_binding=True)
    assert plugin.check(0) == HEALTHY
    assert plugin.in_force == "LOCAL"


@pytest.mark.parametrize("make_numa", [absent, lambda: FakeNuma(deaf=True)])
def test_what_is_not_in_force_is_not_claimed(
    tmp_path: Path, make_numa: Callable[[], FakeNuma]
) -> None:
    _, plugin = started(tmp_path, make_numa, memory_policy="BIND", strict_binding=False)
    finding = plugin.check(0)
    assert finding.status == HealthStatus.DEGRADED
    assert "memory policy BIND is not in force" in finding.reason
    assert plugin.in_force == "LOCAL"


def test_strict_binding_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"non_rt_process: strict_binding .* install libnuma1"):
        started(tmp_path, absent, memory_policy="BIND", strict_binding=True)


BOUND: tuple[MemoryPolicy, frozenset[int]] = ("BIND", frozenset({1}))
LOCAL: tuple[MemoryPolicy, frozenset[int]] = ("LOCAL", frozenset())


def test_a_change_is_in_force_in_every_thread_and_back(tmp_path: Path) -> None:
    threads = FakeThreads()
    context, plugin = started(tmp_path, FakeNuma, threads, memory_policy="LOCAL")
    configure(context, memory_policy="BIND", numa_node=1)
    assert threads.policies == {10: BOUND, 11: BOUND}
    assert plugin.check(0) == HEALTHY
    assert plugin.document() == {
        "memory_policy": "BIND",
        "nodes": [1],
        "threads": 2,
        "threads_without": 0,
    }
    configure(context, memory_policy="LOCAL")
    assert threads.policies == {10: LOCAL, 11: LOCAL}
    assert plugin.in_force == "LOCAL"


@pytest.mark.parametrize("strict", [True, False])
def test_a_change_that_one_thread_cannot_have_is_taken_back_from_all(
    tmp_path: Path, strict: bool
) -> None:
    numa, threads = FakeNuma(), FakeThreads(refuses=errno.EINVAL)
    context, plugin = started(
        tmp_path, lambda: numa, threads, memory_policy="PREFERRED", numa_node=0
    )
    before = ("PREFERRED", frozenset({0}))
    change = {"memory_policy": "BIND", "numa_node": 1, "strict_binding": strict}
    if strict:
        with pytest.raises(ConfigError, match=r"non_rt_process: found BIND: .*Invalid argument"):
            configure(context, **change)
        assert threads.policies == {10: before, 11: before}
        assert numa.now == before
        assert plugin.check(0) == HEALTHY
        assert context.config.current.numa_binding.non_rt_process.memory_policy == "PREFERRED"
    else:
        configure(context, **change)
        assert threads.policies == {10: LOCAL, 11: LOCAL}, "what is said to be in force"
        assert "BIND is not in force: Invalid argument" in plugin.check(0).reason


def test_a_change_that_another_part_refuses_is_taken_back(tmp_path: Path) -> None:
    threads = FakeThreads()
    context, plugin = started(tmp_path, FakeNuma, threads, memory_policy="LOCAL")

    def refuse(_old: object, _new: object) -> None:
        raise ConfigError([])

    context.config.subscribe("numa_binding", prepare=refuse)
    with pytest.raises(ConfigError):
        configure(context, memory_policy="BIND", numa_node=1)
    assert threads.policies == {10: LOCAL, 11: LOCAL}
    assert plugin.in_force == "LOCAL"


def test_a_thread_that_does_not_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.numa.threads.BUDGET_S", 0.0)
    threads = FakeThreads(deaf=11)
    context, plugin = started(tmp_path, FakeNuma, threads, memory_policy="LOCAL")
    configure(context, memory_policy="BIND", numa_node=1)
    assert threads.policies[10] == BOUND
    finding = plugin.check(0)
    assert finding.status == HealthStatus.DEGRADED
    assert "1 threads did not take memory policy BIND (11)" in finding.reason
    assert plugin.document()["threads_without"] == 1


def test_threads_that_are_made_or_end_meanwhile(tmp_path: Path) -> None:
    threads = FakeThreads(born=12, ends=11)
    reached = set_policy_everywhere("BIND", {1}, threads)
    assert threads.policies == {10: BOUND, 12: BOUND}
    assert reached == (2, ())


@pytest.mark.parametrize("migrate", [True, False])
def test_what_is_there_already_moves_only_when_told_to(tmp_path: Path, migrate: bool) -> None:
    (tmp_path / "maps").write_text("10000-14000 rw-p 0 0:0 0 [heap]\n80000-81000 rw-s 0 0:1 7 x\n")
    (tmp_path / "numa_maps").write_text(
        "10000 default heap anon=4 dirty=4 N0=4 kernelpagesize_kB=4\n"
        "80000 default file=/dev/shm/mxrc-x dirty=1 N0=1 kernelpagesize_kB=4\n"
    )
    pages = {0x10000 + 4096 * page: 0 for page in range(4)} | {0x80000: 0}
    numa = FakeNuma(pages=pages)
    context, plugin = started(tmp_path, lambda: numa, memory_policy="LOCAL")
    configure(context, memory_policy="BIND", numa_node=1, migrate_pages=migrate)
    if not migrate:
        assert "migration" not in plugin.document()
        assert set(pages.values()) == {0}
        return
    wait_for(lambda: plugin.document()["migration"]["done"], "the pages")
    assert plugin.document()["migration"]["moved_pages"] == 4
    assert pages.pop(0x80000) == 0, "the segment is RT's"
    assert set(pages.values()) == {1}
    plugin.stop()
