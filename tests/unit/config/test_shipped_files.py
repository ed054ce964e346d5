from __future__ import annotations

import pytest

from shared.config.machine import LinuxMachine
from shared.config.motion_checks import motion_faults
from shared.config.registry import SECTIONS
from tests.unit.config.conftest import SHIPPED, Files


def test_config_runs_on_this_machine(files: Files) -> None:
    config = files.load(machine=LinuxMachine())
    assert config.absent == ()
    assert set(config.tasks) == {"pick_and_place", "demo", "inspect", "task_*"}


def test_config_is_for_any_machine(files: Files) -> None:
    config = files.load()
    for process in (config.cpu_affinity.rt_process, config.cpu_affinity.non_rt_process):
        assert (process.cpu_cores, process.isolation_mode, process.is_exclusive) == (
            "auto",
            "NONE",
            False,
        )
    assert not config.numa_binding.rt_process.strict_binding
    assert config.rt_schedule.wait.mode == "sleep"
    assert config.tracing_config.task_sampling_rate == 1.0
    assert config.tracing_config.rt_cycle_sampling_rate == 0.01
    policy = config.failover_policy.rt_process
    assert policy.stall_timeout_ms == 100
    assert (policy.degraded_miss_rate, policy.unhealthy_miss_rate) == (0.01, 0.05)


def test_production_is_for_isolated_cpus_and_two_nodes(production: Files) -> None:
    config = production.load()
    rt = config.cpu_affinity.rt_process
    assert (rt.cpu_cores, rt.isolation_mode, rt.is_exclusive) == ((2, 3), "ISOLCPUS", True)
    assert config.numa_binding.rt_process.strict_binding
    assert config.rt_schedule.wait.mode == "hybrid"
    assert config.instance.cycle_ring_slots == 65536
    assert config.tracing_config.task_sampling_rate == 0.1
    assert config.tracing_config.rt_cycle_sampling_rate == 0.01
    policy = config.failover_policy.rt_process
    assert policy.stall_timeout_ms == 5
    assert (policy.degraded_miss_rate, policy.unhealthy_miss_rate) == (0.0001, 0.001)


@pytest.mark.parametrize("folder", [SHIPPED, SHIPPED / "production"], ids=["any", "production"])
def test_both_folders_hold_every_file(folder: object) -> None:
    names = {path.name for path in SHIPPED.glob("*.json")}
    assert names == {section.file_name for section in SECTIONS.values()}
    assert {path.name for path in (SHIPPED / "production").glob("*.json")} == names


def test_task_ids_find_their_definition(files: Files) -> None:
    config = files.load()
    for task_id in ("task_001", "task_1", "task_10000"):
        definition = config.find_task(task_id)
        assert definition is not None
        assert definition.pattern == "task_*"
    own = config.find_task("pick_and_place")
    assert own is not None
    assert own.id == "pick_and_place"
    assert config.find_task("nobody") is None
    assert config.find_task("task_*") is config.tasks["task_*"]  # "*" matches itself too


def test_demo_moves_are_within_the_limits(files: Files) -> None:
    config = files.load()
    for task in config.tasks.values():
        assert list(motion_faults(task, config.robot)) == []


def test_defaults_are_those_of_the_contract(files: Files) -> None:
    for name in ("failover_policy", "tracing_config", "instance", "api", "rt_schedule", "logging"):
        files.path(name).unlink()
    files.write("cpu_affinity", {"rt_process": {"isolation_mode": "NONE"}})
    config = files.load()
    assert set(config.absent) == {
        "failover_policy",
        "tracing_config",
        "instance",
        "api",
        "rt_schedule",
        "logging",
    }
    rt = config.cpu_affinity.rt_process
    assert (rt.cpu_cores, rt.is_exclusive, rt.priority) == ("auto", True, 80)
    assert (rt.policy, rt.thread_name) == ("SCHED_FIFO", "main")
    policy = config.failover_policy.rt_process.model_dump(exclude={"on_timing_failure"})
    assert policy == {
        "health_check_interval_ms": 1000,
        "health_check_timeout_ms": 500,
        "failure_threshold": 3,
        "restart_delay_ms": 100,
        "max_restart_count": 5,
        "restart_window_sec": 60,
        "enable_state_recovery": True,
        "checkpoint_interval_sec": 60,
        "enable_leader_election": False,
        "stall_timeout_ms": 100,
        "degraded_miss_rate": 0.01,
        "unhealthy_miss_rate": 0.05,
    }
    tracing = config.tracing_config
    assert (tracing.service_name, tracing.sampling_rate) == ("mxrc-rt", 0.1)
    assert (tracing.task_sampling_rate, tracing.rt_cycle_sampling_rate) == (0.1, 0.1)
    assert tracing.exporter.endpoint == "http://localhost:4318"
    assert (config.api.host, config.api.port, config.api.metrics_port) == ("127.0.0.1", 8080, 9090)
    assert config.api.task_queue_max >= 10_000
    schedule = config.rt_schedule
    assert (schedule.period_us, schedule.deadline_percent) == (1000, 90)
    assert schedule.heartbeat_timeout_ms == 500
    assert schedule.auto_start
    assert schedule.safe_mode_resume == "manual"
