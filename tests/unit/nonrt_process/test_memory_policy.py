"""The memory policy of the Non-RT process, with a libnuma that the test plays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nonrt_process.interfaces import HEALTHY, HealthStatus, MemoryPlacement
from nonrt_process.memory_policy import MemoryPolicyPlugin
from shared.config.models.numa_binding import MemoryPolicy
from shared.numa.libnuma import NumaUnavailableError
from shared.startup import Refused
from tests.unit.nonrt_process.fakes import FakeContext, fake_context


class TwoNodes:
    def online_cpus(self) -> frozenset[int]:
        return frozenset({0, 1})

    def isolated_cpus(self) -> frozenset[int]:
        return frozenset()

    def numa_nodes(self) -> dict[int, frozenset[int]]:
        return {0: frozenset({0}), 1: frozenset({1})}


class FakeNuma:
    """deaf: the wrong variant, which says yes and does nothing."""

    def __init__(self, deaf: bool = False) -> None:
        self.deaf = deaf
        self.now: tuple[MemoryPolicy | None, frozenset[int]] = ("LOCAL", frozenset())

    def set_policy(self, policy: MemoryPolicy, nodes: Iterable[int]) -> None:
        if not self.deaf:
            self.now = policy, frozenset(nodes)

    def policy(self) -> tuple[MemoryPolicy | None, frozenset[int]]:
        return self.now

    def bind_range(self, address: int, size: int, node: int, *, move: bool) -> None:
        raise AssertionError

    def nodes_of(self, addresses: Sequence[int]) -> list[int]:
        raise AssertionError

    def move(self, addresses: Sequence[int], node: int, *, shared: bool) -> list[int]:
        raise AssertionError


def configure(context: FakeContext, **changes: object) -> None:
    current = context.config.current
    own = current.numa_binding.non_rt_process.model_copy(update=changes)
    binding = current.numa_binding.model_copy(update={"non_rt_process": own})
    context.config.propose(replace(current, numa_binding=binding))


def started(
    tmp_path: Path, make_numa: Callable[[], FakeNuma], **changes: object
) -> tuple[FakeContext, MemoryPolicyPlugin]:
    context = fake_context(tmp_path)
    configure(context, **changes)
    plugin = MemoryPolicyPlugin(context, TwoNodes(), make_numa)
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


def test_a_later_change_waits_for_the_next_start_and_says_so(tmp_path: Path) -> None:
    context, plugin = started(tmp_path, FakeNuma, memory_policy="LOCAL")
    configure(context, memory_policy="BIND", numa_node=0)
    finding = plugin.check(0)
    assert finding.status == HealthStatus.DEGRADED
    assert "restart mxrc-nonrt" in finding.reason
    configure(context, memory_policy="LOCAL")
    assert plugin.check(0) == HEALTHY
