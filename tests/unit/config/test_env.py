from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.config.paths import SYSTEM_PATHS, resolve_paths
from tests.unit.config.conftest import Files


def test_overrides(files: Files) -> None:
    config = files.load(
        {
            "MXRC_API__PORT": "8081",
            "MXRC_CPU_AFFINITY__RT_PROCESS__PRIORITY": "70",
            "MXRC_CPU_AFFINITY__RT_PROCESS__CPU_CORES": "[3]",
            "MXRC_INSTANCE__LOG_DIR": "/tmp/x",
            "MXRC_INSTANCE__INSTANCE": '"quoted"',
            "MXRC_ROBOT__AXES__0__HOME": "0.5",
            "MXRC_LOGGING__LOGGERS": '{"rt": "debug"}',
            "MXRC_LOGGING__ROTATION__MAX_AGE_HOURS": "1",
            "MXRC_API__TOKEN_FILE": "null",
            "MXRC_HOME": "not a setting",
            "OTHER__THING": "1",
        }
    )
    assert config.api.port == 8081
    assert config.cpu_affinity.rt_process.priority == 70
    assert config.cpu_affinity.rt_process.cpu_cores == (3,)
    assert config.paths.log_dir == Path("/tmp/x")
    assert config.instance_name == "quoted"
    assert config.robot.axes[0].home == 0.5
    assert config.logging.loggers == {"rt": "debug"}
    assert config.logging.rotation.max_age_hours == 1


def test_override_of_an_absent_file(files: Files) -> None:
    files.path("api").unlink()
    assert files.load({"MXRC_API__PORT": "1"}).api.port == 1


def test_digits_are_text_where_text_is_wanted(files: Files) -> None:
    environ = {"MXRC_API__TOKEN": "12345678901234567890", "MXRC_INSTANCE__INSTANCE": "7"}
    config = files.load(environ)
    assert config.api_token is not None
    assert config.api_token.get_secret_value() == "12345678901234567890"
    assert config.instance_name == "7"


def test_a_wrong_value_names_the_variable(files: Files) -> None:
    problem = files.problem({"MXRC_API__PORT": "http", "MXRC_API__METRICS_PORT": "9"})
    assert (problem.file, problem.json_path, problem.value) == (
        "MXRC_API__PORT",
        "$.port",
        '"http"',
    )
    problem = files.problem({"MXRC_CPU_AFFINITY__RT_PROCESS__CPU_CORES": "[77]"})
    assert problem.file == "MXRC_CPU_AFFINITY__RT_PROCESS__CPU_CORES"


def test_a_wrong_token_is_not_shown(files: Files) -> None:
    problem = files.problem({"MXRC_API__TOKEN": "s3cret"})
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize(
    "variable", ["MXRC_APY__PORT", "MXRC_API__", "MXRC___PORT", "MXRC_TASKS__DEMO__PRIORITY"]
)
def test_a_misspelt_variable_is_an_error(files: Files, variable: str) -> None:
    problem = files.problem({variable: "1"})
    assert (problem.file, problem.value) == (variable, "no such setting")


@pytest.mark.parametrize(
    "variable", ["MXRC_API__PORT__X", "MXRC_ROBOT__AXES__9__HOME", "MXRC_ROBOT__AXES__X"]
)
def test_a_path_that_leads_nowhere(files: Files, variable: str) -> None:
    problem = files.problem({variable: "1"})
    assert (problem.file, problem.value) == (variable, "a path that leads nowhere")


def test_an_unknown_field_names_the_variable(files: Files) -> None:
    problem = files.problem({"MXRC_API__PROT": "1"})
    assert (problem.file, problem.json_path) == ("MXRC_API__PROT", "$.prot")
    assert "port" in problem.hint


def test_user_paths(files: Files) -> None:
    paths = files.load({"HOME": "/home/x"}).paths
    assert paths.run_dir == Path(f"/tmp/mxrc-{os.getuid()}")
    assert paths.log_dir == Path("/home/x/.local/state/mxrc/log")
    assert paths.checkpoint_dir == Path("/home/x/.local/state/mxrc/checkpoints")
    assert paths.data_dir == Path("/home/x/.local/state/mxrc/data")
    runtime = {"HOME": "/home/x", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert files.load(runtime).paths.run_dir == Path("/run/user/7/mxrc")


def test_system_paths(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.load({}, system=True).paths == SYSTEM_PATHS
    instance = files.load().instance
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert resolve_paths(instance, {"INVOCATION_ID": "1"}) == SYSTEM_PATHS
    assert resolve_paths(instance, {}) != SYSTEM_PATHS
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert resolve_paths(instance, {"INVOCATION_ID": "1"}) != SYSTEM_PATHS


def test_configured_paths(files: Files) -> None:
    files.write("instance", {"log_dir": "~/log", "data_dir": "/data"})
    config = files.load({"HOME": "/home/x"}, system=True)
    assert config.paths.log_dir == Path("/home/x/log")
    assert config.paths.data_dir == Path("/data")
    assert config.paths.run_dir == SYSTEM_PATHS.run_dir


def test_instance_name_defaults_to_one_per_user(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert files.load().instance_name == "u4711"
    assert files.load({"MXRC_INSTANCE__INSTANCE": "cell-3"}).instance_name == "cell-3"


def test_other_files_by_stem(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "mine.json"
    other.write_text('{"rt_process": {"isolation_mode": "NONE", "priority": 11}}')
    other.chmod(0o644)
    config = files.load(files={"cpu_affinity": other})
    assert config.cpu_affinity.rt_process.priority == 11
    problem = files.problem(files={"tracing_config": tmp_path / "gone.json"})
    assert (problem.file, problem.value) == (str(tmp_path / "gone.json"), "no such file")
