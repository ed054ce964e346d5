"""Every configuration file, spoilt in every way that a person or a disk can spoil it."""

from __future__ import annotations

import copy
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.config import ConfigError, load_config
from shared.config.registry import SECTIONS
from tests.unit.config.conftest import SHIPPED, FakeMachine, Files

NAMES = [*SECTIONS, "tasks/pick_and_place", "tasks/demo", "tasks/task"]
every_file = pytest.mark.parametrize("name", NAMES)


def _shipped(name: str) -> Any:
    return json.loads((SHIPPED / f"{name}.json").read_text())


def _some_field(name: str) -> str:
    return str(next(key for key in _shipped(name) if key != "$schema"))


@every_file
def test_unknown_key(files: Files, name: str) -> None:
    files.change(name, lambda document: document.update(surprise=1))
    problem = files.problem()
    assert problem.file == str(files.path(name))
    assert problem.json_path == "$.surprise"
    assert "is not a known key" in problem.allowed


@every_file
def test_wrong_type(files: Files, name: str) -> None:
    field = _some_field(name)
    files.change(name, lambda document: document.update({field: {"no": ["such", "value"]}}))
    problems = files.problems()
    assert all(problem.file == str(files.path(name)) for problem in problems)
    assert all(problem.json_path.startswith(f"$.{field}") for problem in problems)


@every_file
@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_not_an_object(files: Files, name: str, text: str) -> None:
    files.write(name, text)
    problem = files.problem()
    assert (problem.file, problem.json_path) == (str(files.path(name)), "$")
    assert (problem.value, problem.allowed) == (text, "must be an object")


@every_file
def test_broken_json_names_line_and_column(files: Files, name: str) -> None:
    files.write(name, '{\n  "a": 1\n  "b": 2\n}\n')
    problem = files.problem()
    assert problem.file == str(files.path(name))
    assert problem.json_path == "line 3 column 3"
    assert problem.allowed == "must be valid JSON"


@every_file
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o622])
def test_writable_by_others(files: Files, name: str, mode: int) -> None:
    files.path(name).chmod(mode)
    problem = files.problem()
    assert problem.file == str(files.path(name))
    assert problem.allowed == "must not be writable by group or others"
    assert problem.hint == f"chmod go-w {files.path(name)}"
    files.path(name).chmod(0o644)
    files.load()


@pytest.mark.parametrize(("mode", "refused"), [(0o664, False), (0o666, True), (0o646, True)])
def test_an_installation_may_belong_to_a_group(
    files: Files, monkeypatch: pytest.MonkeyPatch, mode: int, refused: bool
) -> None:
    """Who may write the files of the package may write its code as well."""
    monkeypatch.setattr("shared.resources._DATA", files.folder.parent.resolve())
    files.path("api").chmod(mode)
    if refused:
        assert files.problem().allowed == "must not be writable by group or others"
    else:
        files.load()


@every_file
@pytest.mark.parametrize(
    ("content", "found", "allowed"),
    [
        (b"", "an empty file", "must be a JSON document"),
        (b" \n\t", "an empty file", "must be a JSON document"),
        (b"\xff\xfe{}", "not UTF-8", "must be UTF-8 text"),
        (b"{" + b" " * (1 << 20) + b"}", "a larger file", "must be at most 1048576 bytes"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "deeper nesting", "must be nested at most"),
        (b"[" * 100_000, "deeper nesting", "must be nested at most"),
        (b'{"a": 1,}', '"', "must be valid JSON"),
        (b"{'a': 1}", '"', "must be valid JSON"),
        (b'{"a": 1', "the end of the file", "must be valid JSON"),
        (b"\xef\xbb\xbf{}", '"', "must be valid JSON"),
        (b"// no\n{}", '"', "must be valid JSON"),
    ],
)
def test_no_json(files: Files, name: str, content: bytes, found: str, allowed: str) -> None:
    files.path(name).write_bytes(content)
    problem = files.problem()
    assert problem.file == str(files.path(name))
    assert found in problem.value
    assert allowed in problem.allowed


@every_file
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "9" * 301])
def test_no_finite_number(files: Files, name: str, number: str) -> None:
    files.write(name, '{"a": [1, {"b": ' + number + "}]}")
    problem = files.problem()
    assert (problem.file, problem.json_path) == (str(files.path(name)), "$.a[1].b")
    assert problem.allowed == "must be a finite number"


@every_file
def test_duplicate_key(files: Files, name: str) -> None:
    files.write(name, '{"a": {"x": 1, "y": 2, "x": 3}, "b": 1}')
    problem = files.problem()
    assert (problem.file, problem.json_path) == (str(files.path(name)), "$.a.x")
    assert problem.value == "this key more than once"


@pytest.mark.parametrize("name", ["cpu_affinity", "numa_binding", "robot"])
def test_missing_file_without_defaults(files: Files, name: str) -> None:
    files.path(name).unlink()
    problem = files.problem()
    assert (problem.file, problem.value) == (str(files.path(name)), "no such file")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "nowhere", environ={})
    assert {Path(problem.file).name for problem in caught.value.problems} == {
        "cpu_affinity.json",
        "numa_binding.json",
        "robot.json",
    }


def test_misspelt_file_name(files: Files) -> None:
    files.path("failover_policy").rename(files.path("failover-policy"))
    problem = files.problem()
    assert problem.file == str(files.path("failover-policy"))
    assert "failover_policy.json" in problem.allowed


@pytest.mark.parametrize("name", ["api", "robot", "tasks/demo"])
def test_not_a_regular_file(files: Files, name: str) -> None:
    files.path(name).unlink()
    os.mkfifo(files.path(name), 0o600)
    problem = files.problem()
    assert problem.allowed == "must be a regular file"
    files.path(name).unlink()
    files.path(name).mkdir()
    assert files.problem().allowed == "must be a regular file"


def test_dangling_link_is_not_an_absent_file(files: Files) -> None:
    files.path("api").unlink()
    files.path("api").symlink_to(files.folder / "gone")
    assert files.problem().value == "no such file"


@pytest.mark.parametrize("name", ["api", "tasks/demo"])
def test_unreadable(files: Files, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = os.open

    def refusing_open(path: Path, *arguments: Any) -> int:
        if path == files.path(name):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real_open(path, *arguments)

    monkeypatch.setattr("shared.config.json_file.os.open", refusing_open)
    problem = files.problem()
    assert (problem.file, problem.value) == (str(files.path(name)), "permission denied")
    assert problem.allowed == "must be readable"


def test_line_format(files: Files) -> None:
    files.change("rt_schedule", lambda document: document.update(period_us=-5))
    assert str(files.problem()) == (
        f"{files.path('rt_schedule')}: $.period_us: found -5: "
        "must be an integer from 100 to 100000 (Period of the cycle in us)"
    )


def test_problems_of_all_files_are_told_at_once(files: Files) -> None:
    files.change("rt_schedule", lambda document: document.update(period_us=-5, rusage="no"))
    files.change("api", lambda document: document.update(port="8080"))
    files.write("tasks/demo", "{")
    found = [(Path(problem.file).name, problem.json_path) for problem in files.problems()]
    assert found == [
        ("rt_schedule.json", "$.period_us"),
        ("rt_schedule.json", "$.rusage"),
        ("api.json", "$.port"),
        ("demo.json", "line 1 column 2"),
    ]


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ('"8080"', "must be an integer from 0 to 65535"),
        ("80.0", "must be an integer from 0 to 65535"),
        ("true", "must be an integer from 0 to 65535"),
        ("null", "must be an integer from 0 to 65535"),
        ("65536", "must be an integer from 0 to 65535"),
        ("1" * 200, "must be an integer from 0 to 65535"),
    ],
)
def test_nothing_is_coerced(files: Files, value: str, allowed: str) -> None:
    files.write("api", '{"port": ' + value + "}")
    problem = files.problem()
    assert (problem.json_path, problem.allowed) == ("$.port", allowed)


def test_long_values_are_cut(files: Files) -> None:
    files.change("api", lambda document: document.update(port="x" * 10_000))
    assert len(files.problem().value) <= 60


def test_control_characters_do_not_reach_the_terminal(files: Files) -> None:
    files.write("api", json.dumps({"a\u001b[31m\n": "\u001b[2J\n"}))
    line = str(files.problem())
    assert "\u001b" not in line
    assert "\n" not in line


def test_a_secret_is_never_printed(files: Files) -> None:
    token = "correct-horse-battery-staple"
    for document in (
        {"token": token, "token_file": "/etc/token"},
        {"token": token[:4]},
        {"tokn": token},
        {"token": [token]},
    ):
        files.write("api", document)
        files.path("api").chmod(0o640)
        text = "\n".join(map(str, files.problems()))
        assert token[:4] not in text
    files.write("api", '{"token": "' + token)
    assert token[:4] not in str(files.problem())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [place]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        found += _places(item, (*place, key))
    return found


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_value_anywhere_is_taken_or_refused_in_words(files: Files, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    original = _shipped(name)
    document = copy.deepcopy(original)
    place = data.draw(st.sampled_from(_places(document)))
    value = data.draw(JSON_VALUES)
    if place:
        parent = document
        for part in place[:-1]:
            parent = parent[part]
        parent[place[-1]] = value
    else:
        document = value
    files.write(name, document)
    try:
        files.load()
    except ConfigError as error:
        for problem in error.problems:
            line = str(problem)
            assert line.isprintable() or not line.isascii()
            assert "\n" not in line
            assert ": found " in line
            assert "any value" not in line
    finally:
        files.write(name, original)


def test_absent_core(files: Files) -> None:
    files.change("cpu_affinity", lambda d: d["rt_process"].update(cpu_cores=[1, 99]))
    problem = files.problem()
    assert problem.json_path == "$.rt_process.cpu_cores[1]"
    assert problem.value == "99"
    assert problem.allowed == "must be a CPU that exists and is online: 0-3"


def test_offline_core(files: Files) -> None:
    files.change("cpu_affinity", lambda d: d["non_rt_process"].update(cpu_cores=[3]))
    files.load()
    machine = FakeMachine(online=frozenset({0, 1, 2}))
    assert files.problem(machine=machine).json_path == "$.non_rt_process.cpu_cores[0]"
    files.load(machine=machine, check_machine=False)


def test_absent_numa_node(files: Files) -> None:
    files.change("numa_binding", lambda d: d["rt_process"].update(numa_node=7))
    problem = files.problem()
    assert (problem.json_path, problem.value) == ("$.rt_process.numa_node", "7")
    assert problem.allowed == "must be a NUMA node that exists: 0-1"
