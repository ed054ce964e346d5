"""The units on a PREEMPT_RT kernel with cgroup v2: a cpuset of their own, restarts, limits.

The machine is booted once, with no CPU isolated; what came of it is judged here. It is emulated:
times are printed beside a bare Python of the same machine.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.machine import BOOT_S, BUILD_S, HERE, boot, of

FIFO = 1
BOUND_S = 5.0  # SC-005
BARE_S = 0.02
"""A bare Python on the machine that the bound is for; an emulated one gets as much more time."""

pytestmark = pytest.mark.timeout(BUILD_S + BOOT_S + 600)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return boot(HERE / "units", tmp_path_factory.mktemp("vm"), isolation="")


def test_installed_and_started(results: dict[str, Any]) -> None:
    found = of(results, "install")
    assert "PREEMPT_RT" in found["kernel"]
    assert found["installed"]["status"] == 0, found["installed"]["output"]
    assert found["started"]["status"] == 0, found["started"]["output"]
    assert found["running"]["state"] == "RUNNING", found["running"]
    assert found["ready"]
    assert found["status"]["ActiveState"] == "active"
    assert "PRIMARY, RUNNING" in found["status"]["StatusText"]


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
    took = sorted(one["seconds"] for one in found["rounds"])
    bare = sorted(one["bare"] for one in found["rounds"])
    print(f"kill -9 to RUNNING: {took} s; a bare Python there: {bare} s")
    for one in found["rounds"]:
        before, after = one["before"], one["after"]
        assert one["restarts"] == 1
        assert after["state"] == "RUNNING", after
        assert after["generation"] == before["generation"]
        assert after["recovery"] == 1, "not from the state block"
        assert after["epoch"] == before["epoch"] + 1
        assert after["run"] > before["run"]
        assert after["cycle"] > before["cycle"], "not on the same time grid"
        assert one["seconds"] < BOUND_S * max(1.0, one["bare"] / BARE_S)
    assert found["journal"].count("Recovered from the state block") >= len(found["rounds"])
