"""Runs in the virtual machine: starts mxrc-rt in many ways and writes down what came of it.

Nothing is judged here; test_vm.py does that. CPUs 2,3 are isolated and on node 1.
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
from shared.documents import read_member_document
from shared.resources import resource_path
from shared.segment import Segment

PATIENCE_S = 120.0
RESULTS: dict[str, Any] = {}
ROOT = Path("/var/tmp/mxrc")


class Rt:
    """mxrc-rt with a configuration of its own."""

    def __init__(
        self,
        name: str,
        *,
        affinity: dict[str, Any] | None = None,
        numa: dict[str, Any] | None = None,
        schedule: dict[str, Any] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.folder = ROOT / name
        shutil.copytree(resource_path("config"), self.folder / "config")
        shutil.rmtree(self.folder / "config/production")
        shutil.rmtree(self.folder / "config/schema", ignore_errors=True)
        self.edit("cpu_affinity", "rt_process", affinity or {})
        self.edit("numa_binding", "rt_process", numa or {})
        self.edit("rt_schedule", None, schedule or {})
        folders = {
            f"{kind}_dir": str(self.folder / kind) for kind in ("run", "log", "checkpoint", "data")
        }
        self.edit("instance", None, {"instance": name, **folders})
        self.folder.chmod(0o777)
        self.output = self.folder / "out.txt"
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                [*prefix, "/opt/mxrc/bin/mxrc-rt", "--config-dir", str(self.folder / "config")],
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def edit(self, file: str, part: str | None, values: dict[str, Any]) -> None:
        path = self.folder / f"config/{file}.json"
        content = json.loads(path.read_text())
        (content if part is None else content[part]).update(values)
        path.write_text(json.dumps(content))
        path.chmod(0o644)

    def document(self) -> dict[str, Any]:
        try:
            with Segment.attach(self.name) as segment:
                return read_member_document(segment, 0)
        except (MxrcError, KeyError):
            return {}

    def in_force(self) -> dict[str, Any]:
        return dict(self.document().get("placement", {}).get("in_force", {}))

    def wait(self, what: Callable[[], Any], seconds: float = PATIENCE_S) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if what():
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.3)
        return False

    def measured(self) -> dict[str, Any]:
        """Once the pages were counted a few times."""
        ready = self.wait(lambda: self.in_force().get("local_memory_percent") is not None)
        time.sleep(3)
        return {"ready": ready, "document": self.document(), **self.thread()}

    def thread(self) -> dict[str, Any]:
        """The RT thread as the kernel sees it."""
        try:
            with Segment.attach(self.name) as segment:
                member = segment.member_struct(0)
                tid, pid, cpu = int(member.tid), int(member.pid), int(member.cpu)
            heap = [
                line.split()[1]
                for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines()
                if " heap " in line
            ]
            return {
                "affinity": sorted(os.sched_getaffinity(tid)),
                "scheduler": os.sched_getscheduler(tid),
                "priority": os.sched_getparam(tid).sched_priority,
                "cpu": cpu,
                "heap_policy": heap[0] if heap else "",
            }
        except (MxrcError, OSError) as error:
            return {"error": str(error)}

    def end(self) -> dict[str, Any]:
        pid = self.document().get("pid")
        if self.process.poll() is None:
            # What started it (systemd-run) need not hand the signal on.
            os.kill(pid or self.process.pid, signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return {"status": status, "output": self.output.read_text(errors="replace")}

    def ended(self) -> dict[str, Any]:
        """A start that is refused."""
        self.wait(lambda: False, 90)
        return self.end()


def started(name: str, **options: Any) -> dict[str, Any]:
    rt = Rt(name, **options)
    found = rt.measured()
    return {**found, **rt.end()}


ON_ISOLATED = {"cpu_cores": [2, 3], "isolation_mode": "ISOLCPUS", "is_exclusive": True}


def isolated() -> dict[str, Any]:
    rt = Rt("isolated", affinity={"cpu_cores": "auto", "isolation_mode": "ISOLCPUS"})
    found = rt.measured()
    rt.edit("cpu_affinity", "rt_process", {"priority": 71})
    rt.process.send_signal(signal.SIGHUP)
    found["changed"] = rt.wait(lambda: rt.thread().get("priority") == 71, 30)
    doctor = subprocess.run(
        ["mxrc", "doctor", "--json", "--config-dir", str(rt.folder / "config")],
        capture_output=True,
        text=True,
        check=False,
    )
    found["doctor"] = {"status": doctor.returncode, "answer": json.loads(doctor.stdout or "{}")}
    return {**found, **rt.end()}


def not_isolated() -> dict[str, Any]:
    return started("notisolated", affinity={"cpu_cores": [1], "isolation_mode": "ISOLCPUS"})


def exclusive_refused() -> dict[str, Any]:
    affinity = {"cpu_cores": [0, 1], "isolation_mode": "ISOLCPUS", "is_exclusive": True}
    return Rt("exclusive", affinity=affinity).ended()


def policy(name: str, node: int = 1) -> Callable[[], dict[str, Any]]:
    numa = {"memory_policy": name, "numa_node": node, "strict_binding": True}
    return lambda: started(name.lower(), affinity=ON_ISOLATED, numa=numa)


def migration() -> dict[str, Any]:
    rt = Rt(
        "migration",
        affinity=ON_ISOLATED,
        numa={"memory_policy": "BIND", "numa_node": 0},
        schedule={"auto_start": False},
    )
    found = {"before": rt.measured()}
    rt.edit("numa_binding", "rt_process", {"numa_node": 1, "migrate_pages": True})
    rt.process.send_signal(signal.SIGHUP)
    found["moved"] = {"local": rt.wait(lambda: (local(rt) or 0) >= 95, 60)}
    found["after"] = rt.measured()
    return {**found, **rt.end()}


def local(rt: Rt) -> float | None:
    value = rt.in_force().get("local_memory_percent")
    return float(value) if value is not None else None


def no_migration_while_running() -> dict[str, Any]:
    rt = Rt("running", affinity=ON_ISOLATED, numa={"memory_policy": "BIND", "numa_node": 0})
    found: dict[str, Any] = {"before": rt.measured()}
    rt.edit("numa_binding", "rt_process", {"numa_node": 1, "migrate_pages": True})
    rt.process.send_signal(signal.SIGHUP)
    rt.wait(lambda: rt.in_force().get("migration") is not None, 30)
    time.sleep(4)
    with Segment.attach(rt.name) as segment:
        found["state"] = int(segment.rt_status.state)
    return {**found, "after": rt.measured(), **rt.end()}


def wrong_node() -> dict[str, Any]:
    return Rt("wrongnode", affinity=ON_ISOLATED, numa={"numa_node": 5}).ended()


def wrong_hint() -> dict[str, Any]:
    return Rt("wronghint", numa={"numa_node": 1, "cpu_cores_hint": [0]}).ended()


def no_libnuma() -> dict[str, Any]:
    libraries = list(Path("/usr/lib/x86_64-linux-gnu").glob("libnuma.so.1*"))
    for library in libraries:
        library.rename(library.with_name("away-" + library.name))
    try:
        strict = Rt("strict", numa={"memory_policy": "BIND", "strict_binding": True}).ended()
        lenient = started("lenient", numa={"memory_policy": "BIND"})
    finally:
        for library in libraries:
            library.with_name("away-" + library.name).rename(library)
    return {"strict": strict, "lenient": lenient}


def _as_pilot(*properties: str) -> tuple[str, ...]:
    options = [f"--property={one}" for one in properties]
    options.append("--setenv=PYTHONPATH=" + os.environ["PYTHONPATH"])
    return ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=pilot", *options)


def limit_rtprio() -> dict[str, Any]:
    granted = started(
        "granted",
        affinity={"cpu_cores": [2]},
        prefix=_as_pilot("LimitRTPRIO=90", "LimitMEMLOCK=infinity"),
    )
    refused = started(
        "refused",
        affinity={"cpu_cores": [2]},
        prefix=_as_pilot("LimitRTPRIO=0", "LimitMEMLOCK=infinity"),
    )
    return {"granted": granted, "refused": refused}


def _mxrc(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(["mxrc", *arguments], capture_output=True, text=True, check=False)
    return {"status": done.returncode, "output": done.stdout + done.stderr}


def cpuset() -> dict[str, Any]:
    affinity = {"cpu_cores": [1], "isolation_mode": "CGROUPS", "is_exclusive": True}
    found: dict[str, Any] = {"without": Rt("without", affinity=affinity).ended()}
    found["create"] = _mxrc("cpuset", "create", "--cpus", "1")
    group = Path("/sys/fs/cgroup/mxrc-rt/cpuset.cpus.partition")
    found["partition"] = group.read_text().strip() if group.exists() else ""
    inside = ("mxrc", "cpuset", "exec", "--")
    found["inside"] = started("inside", affinity=affinity, prefix=inside)
    deadline = {
        "policy": "SCHED_DEADLINE",
        "priority": 0,
        "dl_runtime_us": 20000,
        "dl_deadline_us": 50000,
        "dl_period_us": 50000,
    }
    schedule = {"period_us": 100_000}
    _mxrc("cpuset", "remove")
    found["create_root"] = _mxrc("cpuset", "create", "--root", "--cpus", "1")
    found["deadline"] = started(
        "deadline", affinity=affinity | deadline, prefix=inside, schedule=schedule
    )
    found["remove"] = _mxrc("cpuset", "remove")
    return found


def hotplug() -> dict[str, Any]:
    rt = Rt("hotplug", affinity={"cpu_cores": [3]})
    found: dict[str, Any] = {"before": rt.measured()}
    switch = Path("/sys/devices/system/cpu/cpu3/online")
    switch.write_text("0")
    time.sleep(3)
    found["away"] = {**rt.thread(), "degraded": rt.document().get("degraded")}
    switch.write_text("1")
    found["back"] = rt.wait(lambda: rt.thread().get("affinity") == [3], 20)
    return {**found, **rt.end()}


def numa_latency() -> dict[str, Any]:
    """Every node's CPU with every node's memory; emulated, so only where the pages are is real."""
    from shared.bench.numa import latencies

    figures, runs, skipped = latencies(size=4 << 20, hops=1 << 14, rounds=1)
    return {"figures": [one.key for one in figures], "runs": runs, "skipped": skipped}


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "isolated": isolated,
    "not_isolated": not_isolated,
    "exclusive_refused": exclusive_refused,
    "local": policy("LOCAL"),
    "preferred": policy("PREFERRED"),
    "bind": policy("BIND"),
    "interleave": policy("INTERLEAVE"),
    "migration": migration,
    "no_migration_while_running": no_migration_while_running,
    "numa_latency": numa_latency,
    "wrong_node": wrong_node,
    "wrong_hint": wrong_hint,
    "limit_rtprio": limit_rtprio,
    "cpuset": cpuset,
    "no_libnuma": no_libnuma,
    "hotplug": hotplug,
}


def main() -> None:
    target = Path(sys.argv[1])
    for name in sys.argv[2:] or CHECKS:
        check = CHECKS[name]
        begin = time.monotonic()
        try:
            RESULTS[name] = check()
        except Exception:  # noqa: BLE001 - the others are wanted all the same
            RESULTS[name] = {"failed": traceback.format_exc()}
        RESULTS[name]["seconds"] = round(time.monotonic() - begin, 1)
        print(name, RESULTS[name]["seconds"], flush=True)
        target.write_text(json.dumps(RESULTS, indent=1))


if __name__ == "__main__":
    main()
