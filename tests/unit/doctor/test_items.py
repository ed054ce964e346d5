"""Each item that `mxrc doctor` promises: in order where it is, with a remedy where it is not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.doctor.finding import Finding, Subject, Verdict
from shared.doctor.run import examine
from tests.unit.config.conftest import FakeMachine, Files, copy_files
from tests.unit.kernel.test_kernel import tree

ROOT = Path(__file__).resolve().parents[3]
CPU = "/sys/devices/system/cpu"
GROUP = "/sys/fs/cgroup/cpu/rt"
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
UNITS = "/etc/systemd/system"
LOGIND = "/etc/systemd/logind.conf"

GOOD = {
    "/sys/kernel/realtime": "1",
    CLOCK: "tsc",
    f"{CPU}/isolated": "2-3",
    f"{CPU}/nohz_full": "2-3",
    "/proc/cmdline": "rcu_nocbs=2,3",
    f"{CPU}/cpu2/topology/thread_siblings_list": "2",
    f"{CPU}/cpu3/topology/thread_siblings_list": "3",
    f"{CPU}/cpu2/cpufreq/scaling_governor": "performance",
    f"{CPU}/cpu3/cpufreq/scaling_governor": "performance",
    "/dev/cpu_dma_latency": "",
    "/dev/shm/x": "",
    THP: "always [madvise] never",
    "/proc/swaps": "Filename Type Size Used Priority",
    "/proc/77/status": "CapEff:\tffffffffffffffff",
    "/proc/77/limits": "Max realtime priority 99 99",
    "/run/systemd/system/x": "",
    f"{UNITS}/mxrc-rt.service": "",
    f"{UNITS}/mxrc-nonrt.service": "",
    LOGIND: "RemoveIPC=no",
}
IN_FORCE = {"policy": "SCHED_FIFO", "priority": 80, "cpu_cores": [2], "local_memory_percent": 100}
RUNNING = {"placement": {"in_force": IN_FORCE}}

RELEASE = {"/proc/sys/kernel/osrelease": "6.1.0", "/boot/config-6.1.0": "CONFIG_RT_GROUP_SCHED=y"}

ITEMS = {
    "RT_GROUP_SCHED": (
        "RT_GROUP_SCHED",
        {**RELEASE, "/proc/77/cgroup": "4:cpu:/rt", f"{GROUP}/cpu.rt_runtime_us": "0"},
        Verdict.BAD,
        "cpu.rt_runtime_us",
    ),
    "kernel type": ("type", {"/sys/kernel/realtime": "0"}, Verdict.WARNING, "PREEMPT_RT"),
    "clocksource": ("clocksource", {CLOCK: "hpet"}, Verdict.WARNING, "clocksource=tsc"),
    "isolation": ("mode", {f"{CPU}/isolated": ""}, Verdict.BAD, "isolcpus="),
    "nohz_full": ("tick", {f"{CPU}/nohz_full": "3"}, Verdict.WARNING, "nohz_full="),
    "interrupts": (
        "interrupts",
        {"/proc/irq/7/eth/x": "", "/proc/irq/7/effective_affinity_list": "2"},
        Verdict.WARNING,
        "/proc/irq/7/smp_affinity_list",
    ),
    "SMT siblings": (
        "smt",
        {f"{CPU}/cpu2/topology/thread_siblings_list": "1,2"},
        Verdict.WARNING,
        "nosmt",
    ),
    "governor": (
        "governor",
        {f"{CPU}/cpu2/cpufreq/scaling_governor": "schedutil"},
        Verdict.WARNING,
        "performance",
    ),
    "huge pages": ("transparent huge pages", {THP: "[always] never"}, Verdict.WARNING, "madvise"),
    "swap": (
        "swap",
        {"/proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2"},
        Verdict.WARNING,
        "swapoff",
    ),
    "NUMA balancing": (
        "numa balancing",
        {"/proc/sys/kernel/numa_balancing": "1"},
        Verdict.WARNING,
        "kernel.numa_balancing=0",
    ),
    "rights": (
        "priority",
        {
            "/proc/77/status": "CapEff:\t0",
            "/proc/77/limits": "Max realtime priority 0 0\nMax locked memory unlimited unlimited",
        },
        Verdict.BAD,
        "LimitRTPRIO=",
    ),
    "memory lock": (
        "memory lock",
        {
            "/proc/77/status": "CapEff:\t0",
            "/proc/77/limits": "Max realtime priority 99 99\nMax locked memory 65536 65536",
        },
        Verdict.WARNING,
        "LimitMEMLOCK=",
    ),
    "RemoveIPC": ("RemoveIPC", {LOGIND: "RemoveIPC=yes"}, Verdict.WARNING, "RemoveIPC=no"),
}


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A machine with nothing to say about, and an instance on it."""
    monkeypatch.setattr("shared.doctor.services._user", lambda _subject: 1000)
    files = Files(copy_files(ROOT / "config/production", tmp_path / "production"))
    return Subject(
        files.load(),
        files=tree(tmp_path / "root", GOOD),
        machine=FakeMachine(),
        instance=RUNNING,
        rt_pid=77,
        missed_slots=0,
        window_slots=10_000,
    )


def found(subject: Subject) -> dict[str, Finding]:
    return {one.check: one for one in examine(subject)}


def test_nothing_is_said_against_a_fit_machine(fit: Subject) -> None:
    findings = found(fit)
    assert {name: one.what for name, one in findings.items() if one.verdict} == {}
    items = {check for check, _files, _verdict, _fix in ITEMS.values()}
    items |= {"throttling", "idle states", "numa", "shared memory", "units", "running", "timing"}
    assert items <= set(findings), "each has its line, also where all is well"


@pytest.mark.parametrize("item", ITEMS)
def test_an_item_that_is_not_in_order_has_verdict_and_remedy(fit: Subject, item: str) -> None:
    check, files, verdict, remedy = ITEMS[item]
    tree(fit.files.path("/"), files)
    findings = found(fit)
    assert findings[check].verdict == verdict
    assert remedy in findings[check].fix
    assert [name for name, one in findings.items() if one.verdict and name != check] == []


@pytest.mark.parametrize(
    ("path", "check", "remedy"),
    [
        (f"{UNITS}/mxrc-rt.service", "units", "mxrc systemd install"),
        ("/dev/shm/x", "shared memory", "mount -t tmpfs"),
    ],
)
def test_what_is_missing_has_a_remedy(fit: Subject, path: str, check: str, remedy: str) -> None:
    place = fit.files.path(path)
    place.unlink()
    if place.parent.name == "shm":
        place.parent.rmdir()
    finding = found(fit)[check]
    assert finding.verdict != Verdict.OK
    assert remedy in finding.fix


@pytest.mark.parametrize(
    ("missed", "verdict"), [(0, Verdict.OK), (5, Verdict.WARNING), (20, Verdict.BAD)]
)
def test_deadlines_that_the_instance_misses(fit: Subject, missed: int, verdict: Verdict) -> None:
    finding = found(replace(fit, missed_slots=missed))["timing"]
    assert finding.verdict == verdict
    assert f"{missed} of the last 10000" in finding.what
    assert ("incidents show" in finding.fix) == (verdict != Verdict.OK)


@pytest.mark.parametrize(("mode", "verdict"), [("sleep", Verdict.OK), ("busy", Verdict.BAD)])
def test_throttling_is_judged_by_how_the_thread_waits(
    fit: Subject, mode: str, verdict: Verdict
) -> None:
    limits = {"runtime": "950000", "period": "1000000"}
    tree(
        fit.files.path("/"),
        RELEASE | {f"/proc/sys/kernel/sched_rt_{name}_us": value for name, value in limits.items()},
    )
    wait = fit.config.rt_schedule.wait.model_copy(update={"mode": mode})
    schedule = fit.config.rt_schedule.model_copy(update={"wait": wait})
    finding = found(replace(fit, config=replace(fit.config, rt_schedule=schedule)))["throttling"]
    assert finding.verdict == verdict
    assert "950000 of 1000000 us" in finding.what
    assert (verdict == Verdict.OK) != ("sched_rt_runtime_us=-1" in finding.fix)


def test_idle_states_that_cannot_be_kept_off_want_the_udev_rule(
    fit: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.doctor.power.os.access", lambda _path, _mode: False)
    finding = found(fit)["idle states"]
    assert finding.verdict == Verdict.WARNING
    assert "--fix-hints" in finding.fix
    assert f"user {os.getuid()}" in finding.what, "no instance says what RT holds"


@pytest.mark.parametrize("held", [True, False])
def test_idle_states_are_judged_by_what_the_running_process_holds(
    fit: Subject, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    monkeypatch.setattr("shared.doctor.power.os.access", lambda _path, _mode: not held)
    placement = {"in_force": IN_FORCE, "cpu_dma_latency_held": held}
    finding = found(replace(fit, instance={"placement": placement}))["idle states"]
    assert finding.verdict == (Verdict.OK if held else Verdict.WARNING)
    assert "held by the RT process 77" in finding.what


def test_what_the_instance_complains_of_is_passed_on(fit: Subject) -> None:
    document: dict[str, Any] = RUNNING | {
        "degraded": ["CPU 2 of the RT thread is offline"],
        "placement_fix": ["bring it back online"],
    }
    finding = found(replace(fit, instance=document))["degraded"]
    assert (finding.verdict, finding.fix) == (Verdict.WARNING, "bring it back online")
