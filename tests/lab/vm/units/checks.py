"""Runs in the virtual machine: mxrc as services of systemd on a PREEMPT_RT kernel with cgroup v2.

Nothing is judged here; test_vm_units.py does that. No CPU is isolated at boot.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.core import MxrcError
from shared.documents import read_primary_document
from shared.enums import RtState
from shared.resources import resource_path
from shared.segment import Segment

RT, NONRT = "mxrc-rt.service", "mxrc-nonrt.service"
RT_CPUS = [2, 3]
PATIENCE_S = 240.0
CONFIG = Path("/etc/mxrc")
SOURCE = Path("/var/tmp/config")
SLICE = Path("/sys/fs/cgroup/mxrcrt.slice")
RESULTS: dict[str, Any] = {}


def run(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return {"status": done.returncode, "output": done.stdout + done.stderr}


def edit(folder: Path, file: str, part: str | None, values: dict[str, Any]) -> None:
    path = folder / f"{file}.json"
    content = json.loads(path.read_text())
    (content if part is None else content[part]).update(values)
    path.write_text(json.dumps(content))


def show(unit: str, *names: str) -> dict[str, str]:
    text = run("systemctl", "show", unit, *(f"-p{name}" for name in names))["output"]
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def journal(unit: str) -> str:
    return str(run("journalctl", "-u", unit, "-o", "short-monotonic", "--no-pager")["output"])


def state() -> dict[str, Any]:
    """What the segment says; {} while there is none."""
    try:
        with Segment.attach("main") as segment:
            status, nonrt = segment.rt_status, segment.nonrt_status
            return {
                "pid": int(status.pid),
                "tid": int(status.tid),
                "state": RtState(status.state).name,
                "cycle": int(status.cycle),
                "run": int(status.cycles_run),
                "recovery": int(status.last_recovery),
                "generation": segment.generation,
                "epoch": int(status.epoch),
                "nonrt": int(nonrt.pid),
                "ready": int(nonrt.ready),
                "document": read_primary_document(segment),
            }
    except (MxrcError, ValueError):
        return {}


def wait(look: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    return None


def running(other_than: int = 0) -> dict[str, Any]:
    """Once RT is in RUNNING and says so; {} when it does not get there."""

    def look() -> dict[str, Any] | None:
        now = state()
        good = now.get("state") == "RUNNING" and now["pid"] not in (0, other_than)
        return now if good and Path(f"/proc/{now['pid']}").exists() else None

    return wait(look) or {"never": state(), "journal": journal(RT)[-3000:]}


def bare() -> float:
    """Seconds of a Python that does nothing, three times, the least: the yardstick."""
    took = []
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        took.append(time.monotonic() - begin)
    return min(took)


def threads(pid: int) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        tid = int(folder.name)
        found[tid] = [os.sched_getscheduler(tid), os.sched_getparam(tid).sched_priority]
    return found


def install() -> dict[str, Any]:
    """A cpuset of its own by isolation_mode CGROUPS. A slow machine gets time: 20 ms cycles."""
    shutil.copytree(resource_path("config"), SOURCE)
    for path in (SOURCE, *SOURCE.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    edit(
        SOURCE,
        "cpu_affinity",
        "rt_process",
        {"cpu_cores": RT_CPUS, "isolation_mode": "CGROUPS", "is_exclusive": True},
    )
    schedule = {"period_us": 20_000, "safe_mode_resume": "automatic", "heartbeat_timeout_ms": 5000}
    edit(SOURCE, "rt_schedule", None, schedule)
    slow = {"health_check_interval_ms": 5000, "health_check_timeout_ms": 4000}
    for part in ("rt_process", "non_rt_process"):
        rates = {"degraded_miss_rate": 1.0, "unhealthy_miss_rate": 1.0, "max_restart_count": 50}
        edit(SOURCE, "failover_policy", part, slow | rates)
    edit(SOURCE, "tracing_config", "exporter", {"type": "NONE"})
    found: dict[str, Any] = {
        "installed": run("mxrc", "systemd", "install", "--config-dir", str(SOURCE))
    }
    for unit in (RT, NONRT):
        drop_in = Path(f"/etc/systemd/system/{unit}.d")
        drop_in.mkdir()
        (drop_in / "slow.conf").write_text("[Service]\nTimeoutStartSec=300\n")
    run("systemctl", "daemon-reload")
    found["started"] = run("systemctl", "enable", "--now", "mxrc.target", NONRT, RT)
    found["running"] = running()
    found["ready"] = bool(wait(lambda: state().get("ready")))
    found["status"] = show(RT, "ActiveState", "StatusText")
    found["kernel"] = os.uname().version
    return found


def cpuset() -> dict[str, Any]:
    now = running()
    pid, nonrt = now["pid"], now["nonrt"]
    files = ("cpuset.cpus", "cpuset.cpus.effective", "cpuset.cpus.partition")
    return {
        "unit": show("mxrcrt.slice", "AllowedCPUs", "EffectiveCPUs", "ActiveState"),
        "rt_unit": show(RT, "Slice", "ControlGroup"),
        "files": {name: (SLICE / name).read_text().strip() for name in files},
        "root": Path("/sys/fs/cgroup/cpuset.cpus.effective").read_text().strip(),
        "group": Path(f"/proc/{pid}/cgroup").read_text().strip(),
        "in_force": now["document"].get("placement", {}).get("in_force"),
        "degraded": now["document"].get("degraded"),
        "rt_affinity": sorted(os.sched_getaffinity(now["tid"])),
        "python_affinity": sorted(os.sched_getaffinity(pid)),
        "nonrt_affinity": sorted(os.sched_getaffinity(nonrt)),
        "init_affinity": sorted(os.sched_getaffinity(1)),
        "threads": threads(pid),
        "tid": now["tid"],
        "limits": Path(f"/proc/{pid}/limits").read_text(),
    }


def kill_rt() -> dict[str, Any]:
    """Three times; nobody stands by."""
    rounds = []
    for _ in range(3):
        before = running()
        count = int(show(RT, "NRestarts")["NRestarts"])
        begin = time.monotonic()
        os.kill(before["pid"], signal.SIGKILL)
        after = running(other_than=before["pid"])
        took = time.monotonic() - begin
        rounds.append(
            {
                "seconds": took,
                "bare": bare(),
                "before": before,
                "after": after,
                "restarts": int(show(RT, "NRestarts")["NRestarts"]) - count,
            }
        )
    return {"rounds": rounds, "journal": journal(RT)}


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "install": install,
    "cpuset": cpuset,
    "kill_rt": kill_rt,
}


def main() -> None:
    target = Path(sys.argv[1])
    assert resource_path("systemd").is_dir()
    shutil.rmtree(CONFIG, ignore_errors=True)
    for name in sys.argv[2:] or CHECKS:
        begin = time.monotonic()
        try:
            RESULTS[name] = CHECKS[name]()
        except Exception:  # noqa: BLE001 - the others are wanted all the same
            RESULTS[name] = {"failed": traceback.format_exc()}
        RESULTS[name]["seconds"] = round(time.monotonic() - begin, 1)
        print(name, RESULTS[name]["seconds"], flush=True)
        target.write_text(json.dumps(RESULTS, indent=1))


if __name__ == "__main__":
    main()
