"""Rules between fields and between files, each with the smallest change that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.config.conftest import Files

DL = {"policy": "SCHED_DEADLINE", "priority": 0}
TIMES = {"dl_runtime_us": 200, "dl_deadline_us": 800, "dl_period_us": 1000}
CPUSET = {"isolation_mode": "CGROUPS", "is_exclusive": True, "cpu_cores": [3]}


def _rt(**fields: Any) -> dict[str, Any]:
    return {"rt_process": {"isolation_mode": "NONE", **fields}}


def _stage(run: str, **fields: Any) -> dict[str, Any]:
    return {"name": "one", "run": run, "period_us": 1000, "wcet_us": 10, **fields}


def _entry(**fields: Any) -> dict[str, Any]:
    code = {"path": "filter.so", "symbol": "filter"}
    return {"name": "servo", **code, "period_us": 1000, "wcet_us": 100, **fields}


def _route(**fields: Any) -> dict[str, Any]:
    return {"name": "gate", "on": "gate.asked", "send": "gate.open", **fields}


def _axis(**fields: Any) -> dict[str, Any]:
    limits = {"position_min": -1, "position_max": 1}
    rates = {"velocity_max": 1, "acceleration_max": 1, "effort_max": 1}
    return {"name": "a", **limits, **rates, **fields}


def _key(**fields: Any) -> dict[str, Any]:
    return {"keys": [{"name": "k", "type": "double", "writer": "rt", **fields}]}


@pytest.mark.parametrize(
    ("name", "document", "place", "allowed"),
    [
        ("cpu_affinity", _rt(cpu_cores=[]), "cpu_cores", "at least one"),
        ("cpu_affinity", _rt(cpu_cores="all"), "cpu_cores", "a list of CPU numbers"),
        ("cpu_affinity", _rt(cpu_cores=[0, -1]), "cpu_cores[1]", "an integer from 0"),
        ("cpu_affinity", _rt(cpu_cores=[1, 1]), "cpu_cores", "each CPU once"),
        ("cpu_affinity", {"rt_process": {}}, "isolation_mode", '"NONE", "ISOLCPUS"'),
        ("cpu_affinity", _rt(priority=0), "priority", "from 1 to 99 for SCHED_FIFO"),
        ("cpu_affinity", _rt(priority=100), "priority", "from 1 to 99"),
        ("cpu_affinity", _rt(policy="SCHED_OTHER", priority=1), "priority", "0 for SCHED_OTHER"),
        ("cpu_affinity", _rt(policy="FIFO"), "policy", "SCHED_FIFO"),
        ("cpu_affinity", _rt(dl_runtime_us=5), "dl_runtime_us", "left out with SCHED_FIFO"),
        ("cpu_affinity", _rt(**DL, **TIMES), "policy", "unless the process has an exclusive"),
        (
            "cpu_affinity",
            _rt(**{**CPUSET, **DL, **TIMES, "dl_period_us": None}),
            "dl_period_us",
            "given with SCHED_DEADLINE",
        ),
        (
            "cpu_affinity",
            _rt(**{**CPUSET, **DL, **TIMES, "dl_deadline_us": 1001}),
            "dl_runtime_us",
            "must not be above dl_deadline_us",
        ),
        ("cpu_affinity", _rt(thread_name="a b"), "thread_name", "without a space"),
        ("cpu_affinity", _rt(thread_name="x" * 16), "thread_name", "1 to 15"),
        (
            "cpu_affinity",
            _rt(threads=[{"thread_name": "a"}, {"thread_name": "a"}]),
            "threads[1].thread_name",
            "no other thread",
        ),
        (
            "cpu_affinity",
            _rt(threads=[{"thread_name": "a", "policy": "SCHED_RR", "priority": 0}]),
            "threads[0].priority",
            "from 1 to 99 for SCHED_RR",
        ),
        (
            "failover_policy",
            {"rt_process": {"enable_leader_election": True}},
            "enable_leader_election",
            "must be false",
        ),
        (
            "failover_policy",
            {"rt_process": {"health_check_timeout_ms": 1000}},
            "health_check_timeout_ms",
            "below health_check_interval_ms (1000)",
        ),
        (
            "failover_policy",
            {"rt_process": {"checkpoint_interval_sec": 0}},
            "checkpoint_interval_sec",
            "above 0",
        ),
        (
            "failover_policy",
            {"rt_process": {"degraded_miss_rate": 0.5}},
            "degraded_miss_rate",
            "not be above unhealthy_miss_rate",
        ),
        (
            "failover_policy",
            {"rt_process": {"on_timing_failure": "kill"}},
            "on_timing_failure",
            '"report", "handover"',
        ),
        ("tracing_config", {"sampling_rate": 1.1}, "sampling_rate", "from 0 to 1"),
        (
            "tracing_config",
            {"exporter": {"endpoint": "localhost:4318"}},
            "exporter.endpoint",
            "http:// or https://",
        ),
        (
            "tracing_config",
            {"exporter": {"endpoint": "http://u:p@host"}},
            "exporter.endpoint",
            "without user name",
        ),
        ("instance", {"cycle_ring_slots": 1000}, "cycle_ring_slots", "a power of two"),
        ("instance", {"max_rt_processes": 9}, "max_rt_processes", "from 1 to 8"),
        ("instance", {"log_dir": "var/log"}, "log_dir", "an absolute path"),
        ("instance", {"instance": "../x"}, "instance", "lower-case letters"),
        ("rt_schedule", {"period_us": 99}, "period_us", "from 100 to 100000"),
        (
            "rt_schedule",
            {"period_us": 100, "wait": {"mode": "hybrid"}},
            "wait.spin_margin_us",
            "at most half of period_us (50)",
        ),
        ("rt_schedule", {"entries": [_entry(), _entry()]}, "entries[1].name", "no other entry"),
        (
            "rt_schedule",
            {"entries": [_entry(period_us=1500)]},
            "entries[0].period_us",
            "a multiple of period_us (1000)",
        ),
        (
            "rt_schedule",
            {"entries": [_entry(period_us=2000, phase_us=500)]},
            "entries[0].phase_us",
            "a multiple",
        ),
        ("rt_schedule", {"entries": [_entry(phase_us=1000)]}, "entries[0].phase_us", "below"),
        ("rt_schedule", {"entries": [_entry(path=None)]}, "entries[0].path", "with run c"),
        ("rt_schedule", {"entries": [_stage("law", symbol="x")]}, "entries[0].symbol", "left out"),
        (
            "rt_schedule",
            {"entries": [_stage("law"), _stage("law", name="two")]},
            "entries[1].run",
            "no other",
        ),
        (
            "rt_schedule",
            {"entries": [_stage("tasks", period_us=2000)]},
            "entries[0].period_us",
            "with run tasks",
        ),
        (
            "rt_schedule",
            {"entries": [_entry(inputs=["none"])]},
            "entries[0].inputs[0]",
            "datastore.json",
        ),
        ("rt_schedule", {"entries": [_entry(wcet_us=901)]}, "entries", "slot 0 of 1 needs 901 us"),
        (
            "rt_schedule",
            {"entries": [_entry(name="a", period_us=997_000), _entry(name="b", period_us=991_000)]},
            "entries",
            "at most 65536 slots, not 988027",
        ),
        (
            "event_bus",
            {"routes": [_route(), _route()]},
            "routes[1].name",
            "that of no other route",
        ),
        (
            "event_bus",
            {"routes": [_route(source="any", on="gate.*")]},
            "routes[0].send",
            'must not match on ("gate.*")',
        ),
        ("event_bus", {"routes": [_route(on="a b")]}, "routes[0].on", "a topic"),
        ("event_bus", {"routes": [_route(send="x" * 48)]}, "routes[0].send", "at most 47"),
        ("event_bus", {"queue_length": 0}, "queue_length", "from 1"),
        ("event_bus", {"plugins": ["vision.so"]}, "plugins[0]", ".py"),
        ("robot", {"axes": []}, "axes", "1 to 8"),
        ("robot", {"axes": [_axis(name=f"a{i}") for i in range(9)]}, "axes", "1 to 8"),
        ("robot", {"axes": [_axis(), _axis()]}, "axes[1].name", "no other axis"),
        ("robot", {"axes": [_axis(position_min=1)]}, "axes[0].position_min", "below position_max"),
        ("robot", {"axes": [_axis(home=2)]}, "axes[0].home", "from position_min (-1)"),
        ("robot", {"axes": [_axis(velocity_max=0)]}, "axes[0].velocity_max", "above 0"),
        ("robot", {"axes": [_axis(safe_action="goto")]}, "axes[0].safe_value", "must be given"),
        ("robot", {"axes": [_axis(safe_value=0)]}, "axes[0].safe_value", "must be left out"),
        (
            "robot",
            {"axes": [_axis(safe_action="goto", safe_value=2)]},
            "axes[0].safe_value",
            "from position_min",
        ),
        ("robot", {"axes": [_axis()], "driver": {"type": "real"}}, "driver.type", '"simulated"'),
        (
            "robot",
            {"axes": [_axis()], "driver": {"type": "process_image"}},
            "driver.name",
            "must be given with driver process_image",
        ),
        (
            "robot",
            {"axes": [_axis()], "driver": {"name": "arm"}},
            "driver.name",
            "must be left out with driver simulated",
        ),
        ("robot", {"axes": [_axis()], "law": {"type": "c"}}, "law.path", "must be given"),
        ("robot", {"axes": [_axis()], "law": {"path": "x"}}, "law.path", "must be left out"),
        ("robot", {"axes": [_axis()], "law": {"symbol": "pid"}}, "law.symbol", "position_servo"),
        ("datastore", _key(type="float"), "keys[0].type", "bool, int64, double"),
        ("datastore", _key(type="double[17]"), "keys[0].type", "N from 1 to 16"),
        ("datastore", _key(default=True), "keys[0].default", "a number"),
        ("datastore", _key(type="int64", default=1.5), "keys[0].default", "an integer"),
        ("datastore", _key(type="int64", default=1 << 63), "keys[0].default", "64 bits"),
        ("datastore", _key(type="bool", default=1), "keys[0].default", "true or false"),
        ("datastore", _key(type="double[2]", default=[1]), "keys[0].default", "2 numbers"),
        ("datastore", _key(type="string", default="ä" * 32), "keys[0].default", "63 bytes"),
        ("datastore", _key(min=1), "keys[0].default", "from 1 to inf"),
        ("datastore", _key(default=2, max=1), "keys[0].default", "from -inf to 1"),
        ("datastore", _key(min=2, max=1), "keys[0].min", "not be above max"),
        ("datastore", _key(type="string", max=1), "keys[0].max", "left out with type string"),
        ("datastore", _key(name="x" * 48), "keys[0].name", "at most 47"),
        ("datastore", {"keys": _key()["keys"] * 2}, "keys[1].name", "no other key"),
        ("logging", {"level": "warning"}, "level", '"warn"'),
        ("logging", {"loggers": {"rt": "loud"}}, "loggers.rt", '"trace"'),
        ("logging", {"loggers": {"r t": "info"}}, 'loggers["r t"]', "a key that must be a name"),
        (
            "logging",
            {"rotation": {"total_quota_bytes": 1 << 20}},
            "rotation.total_quota_bytes",
            "at least twice",
        ),
        ("api", {"host": "0.0.0.0"}, "host", "loopback address unless a token"),
        ("api", {"host": "::"}, "host", "loopback address unless a token"),
        ("api", {"host": "robot.example"}, "host", "an IP address"),
        ("api", {"metrics_port": 8080}, "metrics_port", "differ from port"),
        ("api", {"token_file": "token"}, "token_file", "an absolute path"),
    ],
)
def test_rule(files: Files, name: str, document: Any, place: str, allowed: str) -> None:
    files.write(name, document)
    problems = files.problems()
    prefix = "$.rt_process." if name in ("cpu_affinity", "failover_policy") else "$."
    assert [problem.json_path for problem in problems] == [prefix + place]
    assert allowed in problems[0].allowed
    assert problems[0].file == str(files.path(name))


def test_deadline_policy_wants_sleep_waiting(files: Files) -> None:
    files.write("cpu_affinity", _rt(**{**CPUSET, **DL, **TIMES}))
    files.load()
    files.change("rt_schedule", lambda d: d["wait"].update(mode="hybrid"))
    problem = files.problem()
    assert problem.file == str(files.path("rt_schedule"))
    assert (problem.json_path, problem.value) == ("$.wait.mode", '"hybrid"')


def test_exclusive_cpus_are_not_shared(production: Files) -> None:
    production.change("cpu_affinity", lambda d: d["non_rt_process"].update(cpu_cores=[1, 2]))
    problem = production.problem()
    assert problem.json_path == "$.non_rt_process.cpu_cores"
    assert problem.allowed.endswith("for itself: 2")


def test_hint_has_to_be_on_the_node(production: Files) -> None:
    production.change("numa_binding", lambda d: d["rt_process"].update(cpu_cores_hint=[2, 0]))
    problem = production.problem()
    assert problem.json_path == "$.rt_process.cpu_cores_hint[1]"
    assert problem.allowed == "must be a CPU of node 1: 2-3"


def test_schedule_of_spread_entries_fits(files: Files) -> None:
    entries = [
        _entry(name="a", period_us=2000, wcet_us=600),
        _entry(name="b", period_us=2000, phase_us=1000, wcet_us=600),
    ]
    files.write("rt_schedule", {"entries": entries})
    schedule = files.load().rt_schedule
    assert (schedule.minor_cycle_us, schedule.major_cycle_us) == (1000, 2000)
    entries[1]["phase_us"] = 0
    files.write("rt_schedule", {"entries": entries})
    assert "slot 0 of 2 needs 1200 us for a, b" in files.problem().allowed


@pytest.mark.parametrize("policy", ["SCHED_OTHER", "SCHED_DEADLINE"])
def test_priority_left_out_suits_the_policy(files: Files, policy: str) -> None:
    times = TIMES if policy == "SCHED_DEADLINE" else {}
    files.write("cpu_affinity", _rt(**{**CPUSET, "policy": policy, **times}))
    assert files.load().cpu_affinity.rt_process.priority == 0


def test_production_file_with_a_token(files: Files, tmp_path: Any) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("0123456789abcdef\n")
    token_file.chmod(0o640)
    files.write("api", {"host": "0.0.0.0", "token_file": str(token_file)})
    config = files.load()
    assert config.api_token is not None
    assert config.api_token.get_secret_value() == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(config)

    token_file.chmod(0o644)
    problem = files.problem()
    assert (problem.file, problem.value) == (str(token_file), "mode 0644")
    token_file.chmod(0o640)
    for content in ("", "short\n", "0123456789 abc\x07def\n"):
        token_file.write_text(content)
        assert "16 ASCII characters" in files.problem().allowed
    token_file.unlink()
    assert files.problem().value == "no such file"


def test_a_file_with_a_token_is_not_for_all_to_read(files: Files) -> None:
    files.write("api", {"token": "0123456789abcdef"})
    problem = files.problem()
    assert problem.allowed == "must not be readable by all: it holds $.token"
    files.path("api").chmod(0o640)
    assert "0123456789abcdef" not in repr(files.load())
    files.write("api", {"token": None})
    files.load()
