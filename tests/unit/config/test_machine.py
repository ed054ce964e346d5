from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config.machine import (
    LinuxMachine,
    format_cpu_list,
    non_rt_cpus,
    parse_cpu_list,
    rt_cpus,
)
from tests.unit.config.conftest import FakeMachine, Files


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3\n", {0, 1, 2, 3}), ("0,2-3,8\n", {0, 2, 3, 8}), ("\n", set()), ("5", {5})],
)
def test_parse_cpu_list(text: str, cpus: set[int]) -> None:
    assert parse_cpu_list(text) == cpus


@given(st.frozensets(st.integers(0, 1023), min_size=1))
def test_cpu_lists_round_trip(cpus: frozenset[int]) -> None:
    assert parse_cpu_list(format_cpu_list(cpus)) == cpus


def test_linux_machine_reads_sysfs(tmp_path: Path) -> None:
    cpu, node = tmp_path / "devices/system/cpu", tmp_path / "devices/system/node"
    for path, text in (
        (cpu / "online", "0-3"),
        (cpu / "isolated", "2-3,7"),
        (node / "online", "0-1"),
        (node / "node0/cpulist", "0-1"),
        (node / "node1/cpulist", "2-3"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    machine = LinuxMachine(tmp_path)
    assert machine.online_cpus() == {0, 1, 2, 3}
    assert machine.isolated_cpus() == {2, 3}
    assert machine.numa_nodes() == {0: {0, 1}, 1: {2, 3}}


def test_a_machine_without_numa_has_node_0(tmp_path: Path) -> None:
    (tmp_path / "devices/system/cpu").mkdir(parents=True)
    (tmp_path / "devices/system/cpu/online").write_text("0-1\n")
    assert LinuxMachine(tmp_path).numa_nodes() == {0: {0, 1}}
    assert LinuxMachine(tmp_path).isolated_cpus() == frozenset()


@pytest.mark.parametrize(
    ("isolated", "online", "rt", "non_rt"),
    [
        ({2, 3}, {0, 1, 2, 3}, (2, 3), (0, 1)),
        (set(), {0, 1, 2, 3}, (3,), (0, 1, 2)),
        (set(), {0}, (0,), (0,)),
        ({0, 1}, {0, 1}, (0, 1), (0, 1)),
    ],
)
def test_auto_placement(
    files: Files, isolated: set[int], online: set[int], rt: tuple[int, ...], non_rt: tuple[int, ...]
) -> None:
    machine = FakeMachine(frozenset(online), frozenset(isolated))
    affinity = files.load().cpu_affinity
    assert rt_cpus(affinity, machine) == rt
    assert non_rt_cpus(affinity, machine) == non_rt


def test_named_cpus_are_taken_as_they_are(production: Files) -> None:
    affinity = production.load().cpu_affinity
    machine = FakeMachine(isolated=frozenset())
    assert rt_cpus(affinity, machine) == (2, 3)
    assert non_rt_cpus(affinity, machine) == (0, 1)
