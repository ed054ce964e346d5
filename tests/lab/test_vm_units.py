"""The units on a PREEMPT_RT kernel with cgroup v2: a cpuset of their own, restarts, limits.

The machine is booted once, with no CPU isolated; what came of it is judged here. It is emulated:
times are judged by how much longer it takes for the imports that a start of RT mostly consists of.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from tests.lab.machine import BOOT_S, BUILD_S, HERE, boot, of
from tests.lab.vm.units.plan import PERIOD_S, ROUNDS

FIFO = 1
BOUND_S = 5.0  # SC-005
VELOCITY_MAX = 2.0  # rad/s, of the first axis of the shipped robot.json

pytestmark = pytest.mark.timeout(BUILD_S + BOOT_S + 600)


def imports_here() -> float:
    """Seconds of what `yardsticks` imports in the machine, the least of some."""
    took = []
    for _ in range(5):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-I", "-c", "import numpy, pydantic"], check=True)
        took.append(time.monotonic() - begin)
    return min(took)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    before = imports_here()
    found = boot(HERE / "units", tmp_path_factory.mktemp("vm"), isolation="")
    return {**found, "imports_here": min(before, imports_here())}


def test_installed_and_started(results: dict[str, Any]) -> None:
    found = of(results, "install")
    assert "PREEMPT_RT" in found["kernel"]
    assert found["installed"]["status"] == 0, found["installed"]["output"]
    assert found["started"]["status"] == 0, found["started"]["output"]
    assert found["running"]["state"] == "RUNNING", found["running"]
    assert found["ready"]
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


def slower(results: dict[str, Any]) -> float:
    """How many times as long as on this machine the same imports take in the emulated one."""
    measured = of(results, "kill_rt")["yardsticks"]
    return float(min(one["imports"] for one in measured) / results["imports_here"])


def test_killed_without_a_standby_it_goes_on(results: dict[str, Any]) -> None:
    found = of(results, "kill_rt")
    factor = slower(results)
    bare = min(one["bare"] for one in found["yardsticks"])
    imports = min(one["imports"] for one in found["yardsticks"])
    print(
        f"in the machine a bare Python takes {bare:.2f} s, one with numpy and pydantic "
        f"{imports:.1f} s: {factor:.0f} times as long as outside"
    )
    for one in found["rounds"]:
        took = one["seconds"]
        print(
            f"kill -9 to the next cycle: {took:.1f} s, {took / bare:.0f} bare Pythons, "
            f"{took / imports:.1f} with numpy and pydantic; outside {took / factor:.2f} s"
        )
        before, after = one["before"], one["after"]
        assert one["restarts"] == 1
        assert after["state"] == "RUNNING", after
        assert after["generation"] == before["generation"]
        assert after["recovery"] == 1, "not from the state block"
        assert after["epoch"] == before["epoch"] + 1
        assert after["run"] > before["run"]
        assert after["cycle"] > before["cycle"], "not on the same time grid"
        assert took / factor < BOUND_S
    assert found["journal"].count("Recovered from the state block") >= len(found["rounds"])


def test_killed_in_motion_the_arm_goes_on(results: dict[str, Any]) -> None:
    """Through a process image: continuous, no round lost or made twice."""
    found = of(results, "kill_rt")
    motion, kills = found["motion"], len(found["rounds"])
    print(f"kills in motion: {motion}")
    assert found["task"]["status"] == "COMPLETED", found["task"]
    assert len(motion["outages"]) == kills
    for outage in motion["outages"]:
        assert outage["seconds"] / slower(results) < BOUND_S
        assert outage["step"] <= VELOCITY_MAX * PERIOD_S
    assert any(outage["speed"] > 0.1 for outage in motion["outages"]), "all at rest"
    assert motion["held"] >= kills, "the plant's watchdog holds the arm meanwhile"
    assert motion["fastest"] <= VELOCITY_MAX * 1.001
    assert motion["backwards"] == 0
    assert motion["rounds"] == ROUNDS


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
