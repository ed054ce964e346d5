"""The units on a PREEMPT_RT kernel with cgroup v2: a cpuset of their own, restarts, limits.

The machine is booted once, with no CPU isolated; what came of it is judged here. How long anything
takes in it means nothing: test_vm_repair.py is about that.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.judging import judge_motion, judge_start
from tests.lab.machine import BOOT_S, BUILD_S, HERE, boot, of
from tests.lab.vm.units.plan import KILLS, PERIOD_S, ROUNDS

FIFO = 1

pytestmark = pytest.mark.timeout(BUILD_S + BOOT_S + 600)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return boot(HERE / "units", tmp_path_factory.mktemp("vm"), isolation="")


def test_installed_and_started(results: dict[str, Any]) -> None:
    found = of(results, "install")
    judge_start(found)
    assert found["status"]["ActiveState"] == "active"
    assert "PRIMARY, RUNNING" in found["status"]["StatusText"]


def test_rt_holds_the_latency_of_the_cpus_by_the_udev_rule(results: dict[str, Any]) -> None:
    assert of(results, "install")["latency"] == {"group": "mxrc", "mode": "0o660"}
    assert of(results, "cpuset")["holds_latency"]


def test_the_slice_has_its_cpus_and_nobody_else_has(results: dict[str, Any]) -> None:
    found = of(results, "cpuset")
    assert found["unit"]["AllowedCPUs"] == "2-3"
    assert found["files"]["cpuset.cpus.effective"] == "2-3"
    assert found["files"]["cpuset.cpus.partition"] == "isolated"
    assert found["root"] == "0-1"
    assert "/mxrcrt.slice/mxrc-rt.service" in found["group"]
    assert set(found["python_affinity"]) <= {2, 3}
    for other in ("nonrt_affinity", "init_affinity"):
        assert set(found[other]) <= {0, 1}, other


def test_the_process_says_that_it_is_in_force(results: dict[str, Any]) -> None:
    found = of(results, "cpuset")
    placed = found["in_force"]
    assert placed["isolation_mode"] == "CGROUPS"
    assert placed["cpu_cores"] == [2, 3]
    assert set(found["rt_affinity"]) <= {2, 3}
    assert not [one for one in found["degraded"] or [] if "isolat" in one or "cpuset" in one]


def test_priority_and_locked_memory_by_the_limits_of_the_unit(results: dict[str, Any]) -> None:
    found = of(results, "cpuset")
    assert found["threads"][str(found["tid"])] == [FIFO, 80]
    limits = {line[:26].strip(): line[26:].split()[:2] for line in found["limits"].splitlines()}
    assert limits["Max realtime priority"] == ["99", "99"]
    assert limits["Max locked memory"] == ["unlimited", "unlimited"]
    assert limits["Max core file size"] == ["0", "0"]


def test_killed_without_a_standby_it_goes_on(results: dict[str, Any]) -> None:
    found = of(results, "kill_rt")
    for one in found["rounds"]:
        before, after = one["before"], one["after"]
        assert after["state"] == "RUNNING", after
        assert after["generation"] == before["generation"]
        assert after["recovery"] == 1, "not from the state block"
        assert after["epoch"] == before["epoch"] + 1
        assert after["run"] > before["run"]
        assert after["cycle"] > before["cycle"], "not on the same time grid"


def test_killed_in_motion_the_arm_goes_on(results: dict[str, Any]) -> None:
    judge_motion(of(results, "kill_rt"), KILLS, PERIOD_S, ROUNDS)


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_nonrt_killed_and_restarted_costs_rt_nothing(results: dict[str, Any], how: str) -> None:
    found = of(results, "nonrt") if how == "kill" else of(results, "other_cpus")["nonrt"]
    before, after = found["before"], found["after"]
    print(f"Non-RT, {how} to ready: {found['seconds']:.1f} s")
    assert found["how"] == how
    assert after, "Non-RT did not come back"
    assert after["nonrt"] != before["nonrt"]
    if how == "kill":  # one by hand begins to count anew
        assert found["restarts"] == 1
    for name in ("pid", "epoch", "generation"):
        assert after[name] == before[name], name
    ran, slots = after["run"] - before["run"], after["cycle"] - before["cycle"]
    assert ran > 0.5 * slots > 0, "RT did not go on meanwhile"
    assert found["rt_restarts"] == 0


def test_rt_gets_other_cpus(results: dict[str, Any]) -> None:
    found = of(results, "other_cpus")
    rows = {row["unit"]: row["file"] for row in found["outdated"]}
    assert rows["mxrcrt.slice"].startswith("outdated")
    assert found["installed"]["status"] == 0, found["installed"]["output"]
    assert found["restarted"]["status"] == 0, found["restarted"]["output"]
    assert found["unit"]["AllowedCPUs"] in ("1 3", "1,3")
    assert found["files"]["cpuset.cpus.effective"] == "1,3"
    assert found["files"]["cpuset.cpus.partition"] == "isolated"
    assert found["root"] == "0,2"
    assert found["in_force"]["cpu_cores"] == [1, 3]
    assert found["in_force"]["isolation_mode"] == "CGROUPS"
    for ours in ("rt_affinity", "python_affinity"):
        assert set(found[ours]) <= {1, 3}, ours
    for other in ("nonrt_affinity", "init_affinity"):
        assert set(found[other]) <= {0, 2}, other


def test_uninstall_leaves_what_is_the_users(results: dict[str, Any]) -> None:
    found = of(results, "uninstall")
    assert found["done"]["status"] == 0, found["done"]["output"]
    assert found["alive"] == []
    assert found["units"] == []
    assert found["load"] == "not-found"
    assert not [name for name in found["segment"] if "mxrc" in name]
    assert found["configuration"]
    assert not found["slice"]
    assert found["root"] == "0-3", "its CPUs are everybody's again"
