from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer

from shared.cli.verbs.doctor import seconds
from shared.doctor import isolation, kernel, power, scheduling, services
from shared.doctor import measure as measuring
from shared.doctor.finding import Finding, Subject, Verdict
from shared.doctor.hints import fix_hints
from shared.doctor.measure import Wakeups, judge, measure
from shared.doctor.run import worst
from tests.unit.config.conftest import FakeMachine, Files, copy_files
from tests.unit.kernel.test_kernel import tree

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def production(tmp_path: Path) -> Files:
    return Files(copy_files(ROOT / "config/production", tmp_path / "production"))


def subject(production: Files, root: Path, files: dict[str, str]) -> Subject:
    return Subject(production.load(), files=tree(root, files), machine=FakeMachine())


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {one.check: one for one in findings}


READY = {
    "/sys/devices/system/cpu/isolated": "2-3",
    "/sys/devices/system/cpu/nohz_full": "2-3",
    "/proc/cmdline": "rcu_nocbs=2,3",
    "/sys/devices/system/cpu/cpu2/topology/thread_siblings_list": "2",
    "/sys/devices/system/cpu/cpu3/topology/thread_siblings_list": "3",
}


def test_an_isolated_machine_is_fit(production: Files, tmp_path: Path) -> None:
    found = by_check(list(isolation.checks(subject(production, tmp_path / "fit", READY))))
    assert {one.verdict for one in found.values()} == {Verdict.OK}
    assert "in force ISOLCPUS" in found["mode"].what


def test_exclusive_without_isolation_will_not_hold(production: Files, tmp_path: Path) -> None:
    files = READY | {
        "/sys/devices/system/cpu/isolated": "",
        "/proc/irq/7/eth/x": "",
        "/proc/irq/7/effective_affinity_list": "2",
    }
    found = by_check(list(isolation.checks(subject(production, tmp_path / "bare", files))))
    assert found["mode"].verdict == Verdict.BAD
    assert "isolcpus=2-3" in found["mode"].fix
    assert found["interrupts"].verdict == Verdict.WARNING
    assert "/proc/irq/7/" in found["interrupts"].fix


def test_a_sibling_that_works_beside_is_named(production: Files, tmp_path: Path) -> None:
    files = READY | {"/sys/devices/system/cpu/cpu2/topology/thread_siblings_list": "0,2"}
    found = by_check(list(isolation.checks(subject(production, tmp_path / "smt", files))))
    assert found["smt"].verdict == Verdict.WARNING
    assert "cpu0/online" in found["smt"].fix


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({"/sys/kernel/realtime": "1"}, Verdict.OK),
        ({"/sys/kernel/debug/sched/preempt": "none voluntary (full)"}, Verdict.WARNING),
    ],
)
def test_kernel_type(
    production: Files, tmp_path: Path, files: dict[str, str], verdict: Verdict
) -> None:
    found = by_check(list(kernel.checks(subject(production, tmp_path / "kernel", files))))
    assert found["type"].verdict == verdict


def test_governor_and_idle_states(production: Files, tmp_path: Path) -> None:
    cpu = "/sys/devices/system/cpu/cpu2"
    files = {
        f"{cpu}/cpufreq/scaling_governor": "powersave",
        f"{cpu}/cpuidle/state3/latency": "200",
        f"{cpu}/cpuidle/state3/name": "C6",
    }
    found = by_check(list(power.checks(subject(production, tmp_path / "power", files))))
    assert found["governor"].verdict == Verdict.WARNING
    assert "C6 (200 us)" in found["idle states"].what


def test_rights_of_the_running_process_count(production: Files, tmp_path: Path) -> None:
    files = {
        "/proc/77/status": "CapEff:\t0000000000000000",
        "/proc/77/limits": "Max realtime priority 0 0\nMax locked memory 65536 65536 bytes",
    }
    running = replace(subject(production, tmp_path / "limits", files), rt_pid=77)
    found = by_check(list(scheduling.checks(running)))
    assert found["priority"].verdict == Verdict.BAD
    assert found["memory lock"].verdict == Verdict.WARNING
    (tmp_path / "limits/proc/77/limits").write_text("Max realtime priority 90 90\n")
    assert by_check(list(scheduling.checks(running)))["priority"].verdict == Verdict.OK


def test_remove_ipc(production: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    files = {"/run/systemd/system/x": "", "/etc/systemd/logind.conf": "[Login]\n#RemoveIPC=yes"}
    one = subject(production, tmp_path / "ipc", files)
    assert by_check(list(services.checks(one)))["RemoveIPC"].verdict == Verdict.WARNING
    (tmp_path / "ipc/etc/systemd/logind.conf").write_text("[Login]\nRemoveIPC=no\n")
    assert by_check(list(services.checks(one)))["RemoveIPC"].verdict == Verdict.OK


def wakeups(late_us: list[float]) -> Wakeups:
    return Wakeups(np.array(late_us), 2, "SCHED_FIFO 80")


def test_the_period_that_holds(production: Files, tmp_path: Path) -> None:
    one = subject(production, tmp_path / "measure", {})
    good = by_check(judge(one, wakeups([20.0] * 100_000)))
    assert good["configured period"].verdict == Verdict.OK
    assert "can hold 100 us" in good["period"].what
    assert "below 0.0030%" in good["period"].what, "nothing seen is not never"
    slow = by_check(judge(one, wakeups([20.0] * 9_000 + [700.0] * 1_000)))
    assert "can hold 1000 us" in slow["period"].what
    late = by_check(judge(one, wakeups([20.0] * 9_900 + [950.0] * 100)))
    assert late["configured period"].verdict == Verdict.BAD
    assert "1.0000% (100 of 10000)" in late["configured period"].what


def test_beside_a_thread_that_never_sleeps_nothing_is_measured(
    production: Files, tmp_path: Path
) -> None:
    one = subject(production, tmp_path / "busy", {})
    wait = one.config.rt_schedule.wait.model_copy(update={"mode": "busy"})
    schedule = one.config.rt_schedule.model_copy(update={"wait": wait})
    busy = replace(one, config=replace(one.config, rt_schedule=schedule), instance={"pid": 77})
    (finding,) = judge(busy, measure(busy, 3600))
    assert finding.verdict == Verdict.WARNING
    assert "waits busily on CPU 2" in finding.what
    assert "stop the instance" in finding.fix


def test_a_loop_that_gets_no_cpu_is_given_up(
    production: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs there is not always what the configuration says."""
    monkeypatch.setattr(measuring, "STUCK_S", 0.05)
    cpu = threading.Event()
    monkeypatch.setattr(measuring, "_loop", lambda *_: cpu.wait())
    one = subject(production, tmp_path / "stuck", {})
    (finding,) = judge(one, measure(one, 3600))
    cpu.set()
    assert "a thread there never sleeps" in finding.what


def running_loops() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "wakeups"}


def test_ctrl_c_ends_the_measurement(
    production: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "_progress", interrupted)
    before = running_loops()
    with pytest.raises(KeyboardInterrupt):
        measure(subject(production, tmp_path / "interrupted", {}), 3600)
    for one in running_loops() - before:
        one.join(5)
        assert not one.is_alive()


def test_the_worst_is_the_exit_status() -> None:
    assert worst([]) == 0
    good, bad = (Finding("g", "c", verdict, "w") for verdict in (Verdict.OK, Verdict.BAD))
    assert worst([bad, good]) == 2


def test_hints_are_for_the_configured_cpus(production: Files, tmp_path: Path) -> None:
    text = fix_hints(subject(production, tmp_path / "hints", {}))
    assert "isolcpus=managed_irq,domain,2-3" in text
    assert "irqaffinity=0-1" in text
    assert 'KERNEL=="cpu_dma_latency"' in text
    assert "rtprio   80" in text


def test_times() -> None:
    assert [seconds(text) for text in ("30s", "500ms", "2m", "5")] == [30, 0.5, 120, 5]
    for text in ("", "0s", "-1s", "30h", "2000m"):
        with pytest.raises(typer.BadParameter):
            seconds(text)
