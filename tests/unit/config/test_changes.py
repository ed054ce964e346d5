from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config import ConfigError
from shared.config.changes import merge_patch, patch_between, with_settings
from shared.config.overrides import combine, overrides_path, write_overrides
from tests.unit.config.conftest import FakeMachine, Files


def test_merge_patch_is_rfc_7396() -> None:
    assert merge_patch({"a": "b", "c": {"d": 1, "e": 2}}, {"a": None, "c": {"d": 3}}) == {
        "c": {"d": 3, "e": 2}
    }
    assert merge_patch([1], {"a": 1}) == {"a": 1}
    assert merge_patch({"a": 1}, [2]) == [2]


def test_combined_patches_do_what_both_did() -> None:
    first, second = {"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"x": None}, "b": {"z": 1}}
    start = {"a": {"x": 0, "w": 9}}
    once = merge_patch(merge_patch(start, first), second)
    assert merge_patch(start, combine(first, second)) == once


def test_a_change_is_checked_like_a_file(files: Files) -> None:
    config = files.load()
    machine = FakeMachine()
    changed = with_settings(
        config, {"cpu_affinity": {"rt_process": {"priority": 50}}}, "request", machine
    )
    assert changed.cpu_affinity.rt_process.priority == 50
    for patch, words in (
        ({"rt_process": {"priority": 100}}, "priority"),
        ({"rt_process": {"cpu_cores": [17]}}, "must be a CPU that exists"),
        ({"rt_process": {"colour": "red"}}, "not a known key"),
    ):
        with pytest.raises(ConfigError, match=words) as raised:
            with_settings(config, {"cpu_affinity": patch}, "request", machine)
        assert raised.value.problems[0].file == "request"


def folder(tmp_path: Path) -> dict[str, str]:
    return {"HOME": "/home/x", "MXRC_INSTANCE__DATA_DIR": str(tmp_path / "data")}


def test_overrides_lie_over_the_files_and_variables_over_them(files: Files, tmp_path: Path) -> None:
    environ = folder(tmp_path)
    path = overrides_path(tmp_path / "data", files.load(environ).instance_name)
    write_overrides(path, {"cpu_affinity": {"rt_process": {"priority": 61}}})
    assert path.stat().st_mode & 0o777 in (0o640, 0o600)
    assert files.load(environ).cpu_affinity.rt_process.priority == 61
    environ["MXRC_CPU_AFFINITY__RT_PROCESS__PRIORITY"] = "62"
    assert files.load(environ).cpu_affinity.rt_process.priority == 62


def test_a_spoilt_override_is_named_and_refused(files: Files, tmp_path: Path) -> None:
    environ = folder(tmp_path)
    path = overrides_path(tmp_path / "data", files.load(environ).instance_name)
    write_overrides(path, {"cpu_affinity": {"rt_process": {"priority": 400}}})
    problem = files.problem(environ)
    assert (problem.file, problem.json_path) == (str(path), "$.rt_process.priority")
    path.write_text(json.dumps({"api": {"token": "x"}}))
    assert files.problem(environ).file == str(path)


json_values = st.recursive(
    st.integers() | st.text(max_size=2) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3)


@settings(deadline=None)
@given(documents, documents)
def test_patch_between_leads_from_one_document_to_the_other(
    old: dict[str, object], new: dict[str, object]
) -> None:
    patch = patch_between(old, new)
    assert merge_patch(old, patch) == new
    assert (patch == {}) == (old == new)
