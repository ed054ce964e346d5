from __future__ import annotations

from typing import Any

import pytest

from shared.config import ConfigError, ConfigStore, Problem
from tests.unit.config.conftest import Files


def _refusal(*_: Any) -> None:
    raise ConfigError([Problem("x", "$.y", "1", "must be 2")])


def _crash(*_: Any) -> None:
    raise ZeroDivisionError


class Log(list[str]):
    def note(self, text: str) -> Any:
        return lambda old, new: self.append(text)


def test_a_live_change(files: Files) -> None:
    store = ConfigStore(files.load())
    seen: list[tuple[str, str]] = []
    store.subscribe("logging", commit=lambda old, new: seen.append((old.level, new.level)))
    store.subscribe("api", commit=lambda old, new: pytest.fail("api did not change"))
    changes = store.propose(files.load({"MXRC_LOGGING__LEVEL": "debug"}))
    assert seen == [("info", "debug")]
    (change,) = changes
    assert (change.section, change.json_path, change.old, change.new, change.scope) == (
        "logging",
        "$.level",
        "info",
        "debug",
        "live",
    )
    assert store.current.logging.level == "debug"
    assert store.propose(files.load({"MXRC_LOGGING__LEVEL": "debug"})) == []


def test_what_has_to_be_live_is_live(files: Files) -> None:
    store = ConfigStore(files.load())
    changes = store.propose(
        files.load(
            {
                "MXRC_CPU_AFFINITY__RT_PROCESS__CPU_CORES": "[1]",
                "MXRC_CPU_AFFINITY__RT_PROCESS__PRIORITY": "70",
                "MXRC_CPU_AFFINITY__RT_PROCESS__POLICY": "SCHED_RR",
                "MXRC_NUMA_BINDING__RT_PROCESS__MEMORY_POLICY": "PREFERRED",
                "MXRC_NUMA_BINDING__RT_PROCESS__NUMA_NODE": "1",
                "MXRC_LOGGING__LOGGERS": '{"rt": "trace"}',
                "MXRC_TRACING_CONFIG__SAMPLING_RATE": "0.5",
                "MXRC_FAILOVER_POLICY__RT_PROCESS__DEGRADED_MISS_RATE": "0.02",
                "MXRC_RT_SCHEDULE__WAIT__SPIN_MARGIN_US": "50",
                "MXRC_RT_SCHEDULE__HEARTBEAT_TIMEOUT_MS": "600",
            }
        )
    )
    assert len(changes) == 10
    assert {change.scope for change in changes} == {"live"}


def test_a_restart_field_is_refused(files: Files) -> None:
    old = files.load()
    new = files.load({"MXRC_RT_SCHEDULE__PERIOD_US": "2000", "MXRC_LOGGING__LEVEL": "debug"})
    store = ConfigStore(old)
    store.subscribe("logging", commit=lambda old, new: pytest.fail("refused as a whole"))
    with pytest.raises(ConfigError) as caught:
        store.propose(new)
    (problem,) = caught.value.problems
    assert problem.json_path == "$.period_us"
    assert "restart" in problem.hint
    assert store.current is old


def test_restart_fields_can_be_allowed(files: Files) -> None:
    store = ConfigStore(files.load())
    changes = store.propose(
        files.load({"MXRC_ROBOT__AXES__1__HOME": "0"}), allow_restart_fields=True
    )
    assert [(change.json_path, change.scope) for change in changes] == [
        ("$.axes[1].home", "restart")
    ]


def test_validation_of_all_comes_before_any_preparation(files: Files) -> None:
    log = Log()
    old = files.load()
    store = ConfigStore(old)
    store.subscribe("logging", validate=log.note("v1"), prepare=log.note("p1"))
    store.subscribe("logging", validate=_refusal)
    store.subscribe("logging", validate=_refusal, commit=log.note("c3"))
    with pytest.raises(ConfigError) as caught:
        store.propose(files.load({"MXRC_LOGGING__LEVEL": "debug"}))
    assert len(caught.value.problems) == 2
    assert log == ["v1"]
    assert store.current is old


@pytest.mark.parametrize("failure", [_refusal, _crash])
def test_a_failed_preparation_is_rolled_back(files: Files, failure: Any) -> None:
    log = Log()
    old = files.load()
    store = ConfigStore(old)
    for name in ("1", "2"):
        store.subscribe(
            "logging",
            prepare=log.note("p" + name),
            commit=log.note("c" + name),
            rollback=log.note("r" + name),
        )
    store.subscribe("logging", prepare=failure, rollback=log.note("never prepared"))
    with pytest.raises((ConfigError, ZeroDivisionError)):
        store.propose(files.load({"MXRC_LOGGING__LEVEL": "debug"}))
    assert log == ["p1", "p2", "r2", "r1"]
    assert store.current is old


def test_a_failing_commit_does_not_stop_the_others(files: Files) -> None:
    log = Log()
    store = ConfigStore(files.load())
    store.subscribe("logging", commit=_crash)
    store.subscribe("logging", commit=log.note("c"))
    with pytest.raises(ZeroDivisionError):
        store.propose(files.load({"MXRC_LOGGING__LEVEL": "debug"}))
    assert log == ["c"]
    assert store.current.logging.level == "debug"


def test_unsubscribe(files: Files) -> None:
    log = Log()
    store = ConfigStore(files.load())
    end = store.subscribe("logging", commit=log.note("c"))
    end()
    end()
    store.propose(files.load({"MXRC_LOGGING__LEVEL": "debug"}))
    assert log == []


def test_unknown_section(files: Files) -> None:
    with pytest.raises(ValueError, match="no such section"):
        ConfigStore(files.load()).subscribe("loging")


def test_task_definitions_change_live(files: Files) -> None:
    store = ConfigStore(files.load())
    files.path("tasks/task").unlink()
    files.change("tasks/demo", lambda d: d.update(priority=11))
    changes = store.propose(files.load())
    assert [(change.section, change.json_path) for change in changes] == [
        ("tasks", "$.demo"),
        ("tasks", '$["task_*"]'),
    ]


def test_a_token_never_shows_in_a_change(files: Files) -> None:
    files.write("api", {"token": "0123456789abcdef"})
    files.path("api").chmod(0o600)
    store = ConfigStore(files.load())
    files.write("api", {"token": "fedcba9876543210"})
    files.path("api").chmod(0o600)
    (change,) = store.propose(files.load())
    assert change.json_path == "$.token"
    assert "fedcba" not in repr(change)
    assert "012345" not in repr(change)


def test_a_new_token_in_the_token_file_is_a_change(files: Files, tmp_path: Any) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("0123456789abcdef")
    token_file.chmod(0o600)
    files.write("api", {"token_file": str(token_file)})
    store = ConfigStore(files.load())
    token_file.write_text("fedcba9876543210")
    (change,) = store.propose(files.load())
    assert (change.section, change.json_path, change.scope) == ("api", "$.token_file", "live")
    assert "fedcba" not in repr(change)
