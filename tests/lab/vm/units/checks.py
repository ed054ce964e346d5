"""Runs in the virtual machine: mxrc as services of systemd on a PREEMPT_RT kernel with cgroup v2.

Nothing is judged here; test_vm_units.py does that. No CPU is isolated at boot.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.vm.checking import run_checks
from tests.lab.vm.fork import mxrc
from tests.lab.vm.units.installing import (
    CONFIG,
    SOURCE,
    copy_configuration,
    install_units,
    start_all,
)
from tests.lab.vm.units.look import (
    NONRT,
    RT,
    document,
    edit,
    journal,
    open_files,
    restarts,
    run,
    running,
    serving,
    show,
    state,
    threads,
    wait,
)
from tests.lab.vm.units.motion import kill_in_motion
from tests.lab.vm.units.plan import KILLS, PERIOD_S, ROUNDS, SWEEP_S

RT_CPUS, OTHER_RT_CPUS = [2, 3], [1, 3]
LATENCY = Path("/dev/cpu_dma_latency")
SLICE = Path("/sys/fs/cgroup/mxrcrt.slice")


def install() -> dict[str, Any]:
    """A cpuset of its own by isolation_mode CGROUPS; a plant behind a process image.

    A slow machine gets time.
    """
    copy_configuration(ROUNDS, SWEEP_S)
    rt_cpus = {"cpu_cores": RT_CPUS, "isolation_mode": "CGROUPS", "is_exclusive": True}
    edit(SOURCE, "cpu_affinity", "rt_process", rt_cpus)
    schedule = {"heartbeat_timeout_ms": 20_000, "period_us": round(PERIOD_S * 1e6)}
    edit(SOURCE, "rt_schedule", None, schedule)
    slow = {"health_check_interval_ms": 20_000, "health_check_timeout_ms": 15_000}
    for part in ("rt_process", "non_rt_process"):
        rates = {"degraded_miss_rate": 1.0, "unhealthy_miss_rate": 1.0, "max_restart_count": 50}
        edit(SOURCE, "failover_policy", part, slow | rates)
    found: dict[str, Any] = {"installed": install_units()}
    for unit in (RT, NONRT):
        drop_in = Path(f"/etc/systemd/system/{unit}.d")
        drop_in.mkdir()
        (drop_in / "slow.conf").write_text("[Service]\nTimeoutStartSec=900\n")
    run("systemctl", "daemon-reload")
    found |= start_all(PERIOD_S)
    found["status"] = show(RT, "ActiveState", "StatusText")
    found["latency"] = {"group": LATENCY.group(), "mode": oct(LATENCY.stat().st_mode & 0o777)}
    return found


def _cpus() -> dict[str, Any]:
    """Of the slice, of the processes in it, and of those that are not."""
    now = running()
    pid, nonrt = now["pid"], now["nonrt"]
    files = ("cpuset.cpus", "cpuset.cpus.effective", "cpuset.cpus.partition")
    return {
        "unit": show("mxrcrt.slice", "AllowedCPUs", "EffectiveCPUs", "ActiveState"),
        "files": {name: (SLICE / name).read_text().strip() for name in files},
        "root": Path("/sys/fs/cgroup/cpuset.cpus.effective").read_text().strip(),
        "group": Path(f"/proc/{pid}/cgroup").read_text().strip(),
        "in_force": document().get("placement", {}).get("in_force"),
        "degraded": document().get("degraded"),
        "rt_affinity": sorted(os.sched_getaffinity(now["tid"])),
        "python_affinity": sorted(os.sched_getaffinity(pid)),
        "nonrt_affinity": sorted(os.sched_getaffinity(nonrt)),
        "init_affinity": sorted(os.sched_getaffinity(1)),
    }


def cpuset() -> dict[str, Any]:
    now = running()
    limits = Path(f"/proc/{now['pid']}/limits").read_text()
    return {
        **_cpus(),
        "threads": threads(now["pid"]),
        "tid": now["tid"],
        "limits": limits,
        "holds_latency": str(LATENCY) in open_files(now["pid"]),
    }


def kill_rt() -> dict[str, Any]:
    """In the middle of a motion."""
    return kill_in_motion(KILLS, PERIOD_S)


def nonrt_again(how: str, end: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Non-RT after `end` has ended the one there is."""
    running()
    before, count = serving(), restarts(NONRT)
    begin = time.monotonic()
    end(before)
    after = serving(other_than=before["nonrt"])
    return {
        "how": how,
        "seconds": time.monotonic() - begin,
        "before": before,
        "after": after,
        "restarts": restarts(NONRT) - count,
        "rt_restarts": restarts(RT),
    }


def nonrt() -> dict[str, Any]:
    """Killed; RT goes on."""
    edit(CONFIG, "robot", None, {"driver": {"type": "simulated"}})  # its plant has gone home
    run("systemctl", "restart", RT)
    return nonrt_again("kill", lambda before: os.kill(before["nonrt"], signal.SIGKILL))


def other_cpus() -> dict[str, Any]:
    """RT gets other CPUs, by the configuration and the way that the docs name: first Non-RT goes
    away from them, then RT moves.
    """
    edit(CONFIG, "cpu_affinity", "rt_process", {"cpu_cores": OTHER_RT_CPUS})
    status = json.loads(mxrc("systemd", "status", "--json")["output"])
    installed = mxrc("systemd", "install")
    again = nonrt_again("restart", lambda _: run("systemctl", "restart", NONRT))
    before = state()
    restarted = run("systemctl", "restart", RT)
    running(other_than=before["pid"])
    return {
        "outdated": status,
        "installed": installed,
        "nonrt": again,
        "restarted": restarted,
        **_cpus(),
    }


def uninstall() -> dict[str, Any]:
    """The last one. Nothing of mxrc runs, holds a CPU or a segment afterwards."""
    now = state()
    done = mxrc("systemd", "uninstall")
    found = {
        "done": done,
        "journal": journal("mxrc*")[-3000:],
        "alive": [pid for pid in (now["pid"], now["nonrt"]) if Path(f"/proc/{pid}").exists()],
        "units": [path.name for path in Path("/etc/systemd/system").glob("mxrc*.service")],
        "load": show(RT, "LoadState")["LoadState"],
        "segment": [path.name for path in Path("/dev/shm").iterdir()],
        "configuration": (CONFIG / "instance.json").exists(),
    }
    wait(lambda: not SLICE.exists(), 30)
    found["slice"] = SLICE.exists()
    found["root"] = Path("/sys/fs/cgroup/cpuset.cpus.effective").read_text().strip()
    return found


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "install": install,
    "cpuset": cpuset,
    "kill_rt": kill_rt,
    "nonrt": nonrt,
    "other_cpus": other_cpus,
    "uninstall": uninstall,
}


if __name__ == "__main__":
    run_checks(CHECKS)
