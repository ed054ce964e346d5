from __future__ import annotations

import json

import pytest

from shared.cli.main import main, make_app
from shared.cli.up import urls
from tests.unit.config.conftest import Files


def test_verbs_are_discovered() -> None:
    app = make_app()
    commands = {
        command.callback.__name__ for command in app.registered_commands if command.callback
    }
    groups = {group.name for group in app.registered_groups}
    assert {"up", "status"} <= commands
    assert {"task", "rt", "config", "shm"} <= groups


@pytest.mark.parametrize(
    "arguments", [[], ["nosuch"], ["task"], ["task", "start"], ["config", "show", "nosuch"]]
)
def test_usage_errors_are_status_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["rt", "--help"]])
def test_help_is_status_0(arguments: list[str]) -> None:
    assert main(arguments) == 0


def test_config_check(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", str(files.folder), "--no-machine"]) == 0
    assert "good (4 task definitions)" in capsys.readouterr().out
    files.change("robot", lambda document: document["axes"][0].update(home=99))
    files.change("rt_schedule", lambda document: document.update(period_us="fast"))
    assert main(["config", "check", str(files.folder), "--no-machine"]) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert all(line.startswith("mxrc: ") for line in err.splitlines())
    assert main(["config", "check", str(files.folder), "--no-machine", "--json"]) == 78
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {problem["json_path"] for problem in problems} == {"$.axes[0].home", "$.period_us"}


def test_config_show_has_no_secret(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MXRC_API__TOKEN", '"very-secret-token-0123"')
    assert main(["config", "show", "--config-dir", str(files.folder)]) == 0
    out = capsys.readouterr().out
    assert "very-secret" not in out
    shown = json.loads(out)
    assert shown["robot"]["axes"][0]["name"] == "base"
    assert shown["in_force"]["directory"] == str(files.folder)


def test_a_missing_instance_is_69(capsys: pytest.CaptureFixture[str], instance: str) -> None:
    assert main(["shm", "top", "--instance", instance, "-n", "1"]) == 69
    assert capsys.readouterr().err.count("\n") == 1


def test_urls_say_when_a_port_was_taken(files: Files) -> None:
    config = files.load()
    assert urls(config, {"http": 8080, "metrics": 9091}) == [
        "http://127.0.0.1:8080/",
        "http://127.0.0.1:8080/health",
        "http://127.0.0.1:9091/metrics   (port 9090 was taken)",
    ]
    any_port = files.load({"HOME": "/x", "MXRC_API__PORT": "0"})
    assert urls(any_port, {"http": 40123})[0] == "http://127.0.0.1:40123/"
