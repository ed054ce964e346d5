"""Runs in the virtual machine: starts mxrc-rt in many ways and writes down what came of it.

Nothing is judged here; test_vm.py does that. CPUs 2,3 are isolated and on node 1. Importing takes
ten seconds here: a start answers several questions, and what is refused is a fork of this process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rt_process.main
from shared.core import MxrcError, lib
from shared.documents import read_member_document
from shared.enums import Access, RtState
from shared.resources import resource_path
from shared.segment import Segment
from tests.lab.vm.checking import run_checks
from tests.lab.vm.fork import fork, mxrc

PATIENCE_S = 300.0
LOOK_S = 0.7  # seldom: looking takes the time of CPUs that are emulated
PERIOD_US = 20_000  # a cycle takes a millisecond here
ROOT = Path("/var/tmp/mxrc")


def configuration(
    name: str,
    *,
    affinity: dict[str, Any] | None = None,
    numa: dict[str, Any] | None = None,
    schedule: dict[str, Any] | None = None,
) -> Path:
    """Folder of an instance; its `config` is what it is given."""
    folder = ROOT / name
    shutil.copytree(resource_path("config"), folder / "config")
    shutil.rmtree(folder / "config/production")
    shutil.rmtree(folder / "config/schema", ignore_errors=True)
    edit(folder, "cpu_affinity", "rt_process", affinity or {})
    edit(folder, "numa_binding", "rt_process", numa or {})
    edit(folder, "rt_schedule", None, {"period_us": PERIOD_US} | (schedule or {}))
    folders = {f"{kind}_dir": str(folder / kind) for kind in ("run", "log", "checkpoint", "data")}
    edit(folder, "instance", None, {"instance": name, **folders})
    folder.chmod(0o777)
    return folder


def edit(folder: Path, file: str, part: str | None, values: dict[str, Any]) -> None:
    path = folder / f"config/{file}.json"
    content = json.loads(path.read_text())
    (content if part is None else content[part]).update(values)
    path.write_text(json.dumps(content))
    path.chmod(0o644)


def refused(folder: Path) -> dict[str, Any]:
    """A start that comes to nothing."""
    return fork(rt_process.main.main, "--config-dir", str(folder / "config"))


class Rt:
    """mxrc-rt with a configuration of its own."""

    def __init__(self, name: str, *, prefix: tuple[str, ...] = (), **parts: Any) -> None:
        self.name = name
        self.folder = configuration(name, **parts)
        self.output = self.folder / "out.txt"
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                [*prefix, "/opt/mxrc/bin/mxrc-rt", "--config-dir", str(self.folder / "config")],
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def change(self, file: str, part: str | None, values: dict[str, Any]) -> None:
        """While it runs."""
        edit(self.folder, file, part, values)
        self.process.send_signal(signal.SIGHUP)

    def state(self) -> RtState:
        with Segment.attach(self.name) as segment:
            return RtState(segment.rt_status.state)

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
            time.sleep(LOOK_S)
        return False

    def measured(self) -> dict[str, Any]:
        """Once the pages were counted a few times."""
        ready = self.wait(lambda: self.in_force().get("local_memory_percent") is not None)
        time.sleep(2)
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


def started(name: str, **options: Any) -> dict[str, Any]:
    rt = Rt(name, **options)
    found = rt.measured()
    return {**found, **rt.end()}


ON_ISOLATED = {"cpu_cores": [2, 3], "isolation_mode": "ISOLCPUS", "is_exclusive": True}


def isolated() -> dict[str, Any]:
    rt = Rt(
        "isolated",
        affinity={"cpu_cores": "auto", "isolation_mode": "ISOLCPUS"},
        numa={"memory_policy": "LOCAL", "numa_node": 1, "strict_binding": True},
    )
    found = rt.measured()
    rt.change("cpu_affinity", "rt_process", {"priority": 71})
    found["changed"] = rt.wait(lambda: rt.thread().get("priority") == 71)
    doctor = mxrc("doctor", "--json", "--config-dir", str(rt.folder / "config"))
    found["doctor"] = json.loads(doctor["output"])
    return {**found, **rt.end()}


def preferred() -> dict[str, Any]:
    """And then its CPU goes away."""
    rt = Rt(
        "preferred",
        affinity={"cpu_cores": [3], "isolation_mode": "ISOLCPUS", "is_exclusive": True},
        numa={"memory_policy": "PREFERRED", "numa_node": 1, "strict_binding": True},
    )
    found: dict[str, Any] = rt.measured()
    switch = Path("/sys/devices/system/cpu/cpu3/online")
    switch.write_text("0")
    rt.wait(lambda: any("offline" in one for one in rt.document().get("degraded", [])))
    found["away"] = {**rt.thread(), "degraded": rt.document().get("degraded")}
    switch.write_text("1")
    found["back"] = rt.wait(lambda: rt.thread().get("affinity") == [3])
    return {**found, **rt.end()}


def as_pilot(rtprio: int) -> tuple[str, ...]:
    """Start of a command as an ordinary user with this LimitRTPRIO."""
    limits = (f"--property=LimitRTPRIO={rtprio}", "--property=LimitMEMLOCK=infinity")
    return ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=pilot", *limits)


def interleave() -> dict[str, Any]:
    """Of an ordinary user that may have real time."""
    numa = {"memory_policy": "INTERLEAVE", "numa_node": 1, "strict_binding": True}
    return started("interleave", affinity=ON_ISOLATED, numa=numa, prefix=as_pilot(90))


def bind() -> dict[str, Any]:
    """To the wrong node; migration is asked for in RUNNING, which ends later."""
    rt = Rt(
        "bind",
        affinity=ON_ISOLATED,
        numa={"memory_policy": "BIND", "numa_node": 0, "strict_binding": True},
    )
    found: dict[str, Any] = {"before": rt.measured()}
    rt.change("numa_binding", "rt_process", {"numa_node": 1, "migrate_pages": True})
    rt.wait(lambda: rt.in_force().get("migration") is not None)
    found["running"] = {**rt.measured(), "state": rt.state().name}
    with Segment.attach(rt.name, Access.NONRT) as segment:  # one beat of a Non-RT process, no more
        segment.nonrt_status.heartbeat_ns = lib.mxrc_now_ns()
    rt.wait(lambda: rt.state() is RtState.SAFE_MODE)
    rt.wait(lambda: (rt.in_force().get("local_memory_percent") or 0) >= 95)
    found["after"] = {**rt.measured(), "state": rt.state().name}
    return {**found, **rt.end()}


def not_there() -> dict[str, Any]:
    """CPUs that are not isolated, a node that does not exist, CPUs of another one."""
    affinity = {"cpu_cores": [0, 1], "isolation_mode": "ISOLCPUS", "is_exclusive": True}
    numa = configuration("numa", affinity=ON_ISOLATED, numa={"numa_node": 5})
    edit(numa, "numa_binding", "non_rt_process", {"numa_node": 1, "cpu_cores_hint": [0]})
    return {
        "exclusive": refused(configuration("exclusive", affinity=affinity)),
        "numa": refused(numa),
    }


def no_libnuma() -> dict[str, Any]:
    """And on a CPU that is not isolated, of an ordinary user that may not have real time."""
    libraries = list(Path("/usr/lib/x86_64-linux-gnu").glob("libnuma.so.1*"))
    for library in libraries:
        library.rename(library.with_name("away-" + library.name))
    try:
        numa = {"memory_policy": "BIND", "strict_binding": True}
        strict = refused(configuration("strict", numa=numa))
        numa = {"memory_policy": "BIND", "strict_binding": False}
        affinity = {"cpu_cores": [1], "isolation_mode": "ISOLCPUS", "is_exclusive": False}
        lenient = started("lenient", affinity=affinity, numa=numa, prefix=as_pilot(0))
    finally:
        for library in libraries:
            library.with_name("away-" + library.name).rename(library)
    return {"strict": strict, "lenient": lenient}


def cpuset() -> dict[str, Any]:
    affinity = {"cpu_cores": [1], "isolation_mode": "CGROUPS", "is_exclusive": True}
    found: dict[str, Any] = {"without": refused(configuration("without", affinity=affinity))}
    group = Path("/sys/fs/cgroup/mxrc-rt/cpuset.cpus.partition")
    for kind, options in (("isolated", ()), ("root", ("--root",))):
        created = mxrc("cpuset", "create", "--cpus", "1", *options)
        found[kind] = {**created, "partition": group.read_text().strip() if group.exists() else ""}
        if kind == "isolated":
            found["removed"] = {**mxrc("cpuset", "remove"), "there": group.exists()}
    deadline = {
        "policy": "SCHED_DEADLINE",
        "priority": 0,
        "dl_runtime_us": 20000,
        "dl_deadline_us": 50000,
        "dl_period_us": 50000,
    }
    found["inside"] = started(
        "inside",
        affinity=affinity | deadline,
        schedule={"period_us": 100_000},
        prefix=("mxrc", "cpuset", "exec", "--"),
    )
    found["remove"] = mxrc("cpuset", "remove")
    return found


def numa_latency() -> dict[str, Any]:
    """Every node's CPU with every node's memory; emulated, so only where the pages are is real."""
    from shared.bench.numa import latencies

    figures, runs, skipped = latencies(size=4 << 20, hops=1 << 14, rounds=1)
    return {"figures": [one.key for one in figures], "runs": runs, "skipped": skipped}


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "no_libnuma": no_libnuma,  # first: what a fork inherits must not have it
    "isolated": isolated,
    "preferred": preferred,
    "interleave": interleave,
    "bind": bind,
    "not_there": not_there,
    "numa_latency": numa_latency,
    "cpuset": cpuset,
}


if __name__ == "__main__":
    run_checks(CHECKS)
