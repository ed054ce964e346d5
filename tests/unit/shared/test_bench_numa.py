from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from shared.bench import numa
from shared.config.models.numa_binding import MemoryPolicy


class OneNode:
    """Memory of which every second page could not be had on the node asked for."""

    def __init__(self) -> None:
        self.said: list[tuple[str, list[int]]] = []

    def set_policy(self, policy: MemoryPolicy, nodes: Iterable[int]) -> None:
        self.said.append((policy, list(nodes)))

    def policy(self) -> tuple[MemoryPolicy | None, frozenset[int]]:
        return "PREFERRED", frozenset({0})

    def bind_range(self, address: int, size: int, node: int, *, move: bool) -> None:
        raise AssertionError

    def nodes_of(self, addresses: Sequence[int]) -> list[int]:
        return [index % 2 for index in range(len(addresses))]

    def move(self, addresses: Sequence[int], node: int, *, shared: bool) -> list[int]:
        raise AssertionError


def test_the_chase_visits_every_line_once() -> None:
    following = numa.order(1000)
    at, seen = 0, set()
    while at not in seen:
        seen.add(at)
        at = int(following[at])
    assert len(seen) == 1000
    assert at == 0


def test_cpus_and_policy_are_as_before_and_the_share_is_what_was_found() -> None:
    before, kernel = os.sched_getaffinity(0), OneNode()
    found = numa.chase(kernel, min(before), 1, 1 << 16, 1000)
    assert kernel.said == [("BIND", [1]), ("PREFERRED", [0])]
    assert os.sched_getaffinity(0) == before
    assert (found.placed, found.node) == (0.5, 1)
    assert found.ns > 0


def test_one_node_says_that_nothing_is_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = frozenset(os.sched_getaffinity(0))
    monkeypatch.setattr(numa, "LibNuma", OneNode)
    monkeypatch.setattr(numa, "nodes", lambda: {0: cpus})
    figures, runs, skipped = numa.latencies(1 << 16, 1000, 1)
    assert [one.key for one in figures] == ["numa_local"]
    assert len(runs) == 1
    assert "one NUMA node" in skipped[0]
    monkeypatch.setattr(numa, "nodes", lambda: {0: cpus, 1: cpus})
    figures, runs, skipped = numa.latencies(1 << 16, 1000, 1)
    assert [one.key for one in figures] == ["numa_local", "numa_remote", "numa_ratio"]
    assert len(runs) == 4
    assert skipped == []


def test_cpus_of_a_node_count_although_this_process_may_not_use_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node, cpus in (("node0", "0-1"), ("node1", "2-3"), ("node2", "")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "cpulist").write_text(f"{cpus}\n")
    monkeypatch.setattr(numa, "_NODES", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    assert numa.nodes() == {0: frozenset({0, 1}), 1: frozenset({2, 3})}


def test_a_cpu_that_is_not_to_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numa, "LibNuma", OneNode)
    monkeypatch.setattr(numa, "nodes", lambda: {0: os.sched_getaffinity(0), 1: frozenset({9999})})
    figures, runs, skipped = numa.latencies(1 << 16, 1000, 1)
    assert [one.key for one in figures] == ["numa_local", "numa_remote", "numa_ratio"]
    assert len(runs) == 2
    assert len(skipped) == 2
    assert skipped[0].startswith("CPU 9999 with memory of node 0")
