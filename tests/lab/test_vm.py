"""Placement on a PREEMPT_RT kernel with two NUMA nodes and isolated CPUs, in an emulated machine.

The machine is booted once; what came of it is judged here. `make test-vm` runs this
and test_vm_units.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.machine import BOOT_S, BUILD_S, HERE, boot, of

FIFO, DEADLINE = 1, 6

pytestmark = pytest.mark.timeout(BUILD_S + BOOT_S + 600)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return boot(HERE / "guest", tmp_path_factory.mktemp("vm"))


def in_force(found: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = found["document"]["placement"]["in_force"]
    return value


def test_isolation_is_seen_on_cpus_2_and_3(results: dict[str, Any]) -> None:
    found = of(results, "isolated")
    placed = in_force(found)
    assert placed["isolation_mode"] == "ISOLCPUS"
    assert placed["cpu_cores"] == [2, 3]
    assert placed["nohz_full"] is True
    assert placed["rcu_nocbs"] is True


def test_the_thread_is_on_its_core_with_its_policy(results: dict[str, Any]) -> None:
    found = of(results, "isolated")
    assert (found["affinity"], found["scheduler"], found["priority"]) == ([2, 3], FIFO, 80)
    assert found["cpu"] in (2, 3)


def test_a_new_priority_is_in_force_after_a_hangup(results: dict[str, Any]) -> None:
    assert of(results, "isolated")["changed"] is True


def test_doctor_knows_the_machine(results: dict[str, Any]) -> None:
    answer = of(results, "isolated")["doctor"]
    found = {f"{one['group']}: {one['check']}": one for one in answer["findings"]}
    assert found["kernel: type"]["verdict"] == "OK"
    assert "PREEMPT_RT" in found["kernel: type"]["what"]
    assert found["isolation: mode"]["verdict"] == "OK"
    assert found["isolation: tick"]["verdict"] == "OK"
    assert "950000" in found["scheduling: throttling"]["what"], "this kernel still throttles"
    assert "2 nodes" in found["memory: numa"]["what"]


def test_isolation_is_not_claimed_on_cpu_1(results: dict[str, Any]) -> None:
    found = of(results, "no_libnuma")["lenient"]
    assert in_force(found)["isolation_mode"] == "NONE"
    assert any("CPU 1 is not isolated" in one for one in found["document"]["degraded"])
    refused = of(results, "not_there")["exclusive"]
    assert refused["status"] == 78
    assert "isolcpus=0-1" in refused["output"]


def with_policy(results: dict[str, Any], policy: str) -> dict[str, Any]:
    """What was found of the start with this memory policy."""
    name = {"LOCAL": "isolated"}.get(policy, policy.lower())
    found: dict[str, Any] = of(results, name)
    return dict(found["before"]) if policy == "BIND" else found


@pytest.mark.parametrize(
    ("policy", "heap"),
    [
        ("LOCAL", "prefer:1"),
        ("PREFERRED", "prefer:1"),
        ("BIND", "bind:0"),
        ("INTERLEAVE", "interleave:0-1"),
    ],
)
def test_memory_policy_is_in_force(results: dict[str, Any], policy: str, heap: str) -> None:
    found = with_policy(results, policy)
    assert in_force(found)["memory_policy"] == policy
    assert found["heap_policy"].replace("prefer (many)", "prefer") == heap


@pytest.mark.parametrize("check", ["isolated", "preferred", "bind"])
def test_95_percent_of_the_memory_is_on_the_node_of_the_isolated_cpus(
    results: dict[str, Any], check: str
) -> None:
    found = of(results, check)
    placed = in_force(found["after"] if check == "bind" else found)
    assert placed["numa_node"] == 1
    assert placed["local_memory_percent"] >= 95
    assert sum(placed["pages"]["segment_kb"].values()) > 1024


def test_interleave_spreads_and_raises_the_alarm(results: dict[str, Any]) -> None:
    found = of(results, "interleave")
    assert in_force(found)["local_memory_percent"] < 95
    assert any("are not on node 1" in one for one in found["document"]["degraded"])


def test_the_wrong_node_raises_the_alarm_and_migration_mends_it(results: dict[str, Any]) -> None:
    found = of(results, "bind")
    assert in_force(found["before"])["local_memory_percent"] < 95
    assert any("are not on node 1" in one for one in found["before"]["document"]["degraded"])
    assert found["after"]["state"] == "SAFE_MODE"
    after = in_force(found["after"])
    assert after["migration"]["moved_pages"] > 0
    assert found["after"]["heap_policy"] == "bind:1"
    assert not any("are not on node 1" in one for one in found["after"]["document"]["degraded"])


def test_pages_stay_while_running(results: dict[str, Any]) -> None:
    found = of(results, "bind")["running"]
    assert found["state"] == "RUNNING"
    assert in_force(found)["migration"]["moved_pages"] == 0
    assert in_force(found)["local_memory_percent"] < 95


def test_memory_is_measured_from_and_on_both_nodes(results: dict[str, Any]) -> None:
    found = of(results, "numa_latency")
    assert found["skipped"] == []
    assert found["figures"] == ["numa_local", "numa_remote", "numa_ratio"]
    pairs = {(one["cpu_node"], one["memory_node"]) for one in found["runs"]}
    assert pairs == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert all(one["pages_there_percent"] == 100 and one["ns"] > 0 for one in found["runs"])


def test_a_node_that_does_not_exist_is_refused(results: dict[str, Any]) -> None:
    refused = of(results, "not_there")["numa"]
    assert refused["status"] == 78
    for words in ("must be a NUMA node", "CPU of node 1"):
        assert words in refused["output"]


def test_limitrtprio_lets_an_ordinary_user_have_real_time(results: dict[str, Any]) -> None:
    granted = of(results, "interleave")
    assert in_force(granted)["policy"] == "SCHED_FIFO"
    assert (granted["scheduler"], granted["priority"]) == (FIFO, 80)
    refused = of(results, "no_libnuma")["lenient"]
    assert in_force(refused)["policy"] == "SCHED_OTHER"
    assert any("LimitRTPRIO" in one for one in refused["document"]["placement_fix"])


def test_a_v2_cpuset_isolates(results: dict[str, Any]) -> None:
    found = of(results, "cpuset")
    assert found["without"]["status"] == 78
    assert "mxrc cpuset create" in found["without"]["output"]
    for kind in ("isolated", "root"):
        assert found[kind]["status"] == 0, found[kind]
        assert found[kind]["partition"] == kind
    assert found["removed"]["status"] == 0, found["removed"]
    assert not found["removed"]["there"]
    assert in_force(found["inside"])["isolation_mode"] == "CGROUPS"
    assert found["inside"]["affinity"] == [1]
    assert found["remove"]["status"] == 0, found["remove"]


def test_a_deadline_thread_runs_in_an_exclusive_cpuset(results: dict[str, Any]) -> None:
    found = of(results, "cpuset")["inside"]
    assert in_force(found)["policy"] == "SCHED_DEADLINE"
    assert found["scheduler"] == DEADLINE


def test_without_libnuma_strict_is_refused_and_others_say_so(results: dict[str, Any]) -> None:
    found = of(results, "no_libnuma")
    assert found["strict"]["status"] == 78
    assert "libnuma1" in found["strict"]["output"]
    assert any("libnuma" in one for one in found["lenient"]["document"]["degraded"])


def test_the_thread_goes_back_to_a_cpu_that_returns(results: dict[str, Any]) -> None:
    found = of(results, "preferred")
    assert found["affinity"] == [3]
    assert found["away"]["affinity"] != [3]
    assert any("offline" in one for one in found["away"]["degraded"])
    assert found["back"] is True
