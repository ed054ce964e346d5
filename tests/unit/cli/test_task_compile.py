"""`mxrc task compile`, and the examples of docs/tasks.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.cli.main import main
from shared.config import Config, load_config
from shared.program import compile_document
from tests.helpers import ROOT

SHIPPED = ROOT / "config"


@pytest.fixture(autouse=True)
def shipped_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXRC_CONFIG_DIR", str(SHIPPED))


def written(folder: Path, text: str) -> Path:
    path = folder / "task.json"
    path.write_text(text)
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("path", sorted((SHIPPED / "tasks").glob("*.json")), ids=lambda p: p.stem)
def test_shipped_definitions(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task", "compile", str(path)]) == 0
    assert ": good (" in capsys.readouterr().out
    assert main(["task", "compile", str(path), "--json", "--show"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"]
    assert len(shown["ops"]) == shown["op_count"]


def test_faults_end_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (SHIPPED / "tasks" / "demo.json").read_text().replace('"elbow"', '"elbwo"')
    path = written(tmp_path, text)
    assert main(["task", "compile", str(path)]) == 78
    error = capsys.readouterr().err
    assert f"{path}: $.sequence.actions[3].parameters.target.elbwo (step bow): found 1.5" in error
    assert "did you mean elbow?" in error
    assert main(["task", "compile", str(path), "--json"]) == 78
    answer = json.loads(capsys.readouterr().out)
    assert not answer["ok"]
    assert answer["problems"][0]["step"] == "bow"


def test_parameters_are_put_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [{"name": "w", "type": "wait", "parameters": {"duration_s": {"$param": "time"}}}]
    body = {"id": "t", "parameters": {"time": 1}, "sequence": {"name": "s", "actions": steps}}
    path = str(written(tmp_path, json.dumps(body)))
    assert main(["task", "compile", path, "--show", "--parameters", '{"time": 0.75}']) == 0
    assert "0.75 s" in capsys.readouterr().out
    for wrong, words in (
        ('{"time": -1}', "step w"),
        ('{"tim": 1}', "did you mean time?"),
        ("[1]", "must be an object"),
        ("{", "--parameters: line 1"),
    ):
        assert main(["task", "compile", path, "--parameters", wrong]) == 78
        assert words in capsys.readouterr().err


def test_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task", "compile", str(tmp_path / "none.json")]) == 78
    assert "no such file" in capsys.readouterr().err


def test_examples_of_the_page_compile() -> None:
    config: Config = load_config(SHIPPED, check_machine=False)
    page = (ROOT / "docs" / "tasks.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        compile_document(block.encode(), config, source="docs/tasks.md")
