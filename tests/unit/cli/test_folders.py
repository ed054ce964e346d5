from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.cli.folders import UP_FOLDERS, find_folder
from shared.config.models.instance import InstanceConfig
from shared.config.paths import Paths, resolve_paths
from shared.documents import write_nonrt_document
from tests.helpers import unique_instance
from tests.unit.nonrt_process.fakes import real_segment


def configured(home: Path, **fields: str | None) -> tuple[InstanceConfig, Paths]:
    instance = InstanceConfig.model_validate(fields)
    return instance, resolve_paths(instance, {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)})


def test_configured_counts_whatever_runs(tmp_path: Path) -> None:
    name = unique_instance()
    with real_segment(tmp_path, name) as (_, nonrt):
        write_nonrt_document(nonrt, {"folders": {"data_dir": "/in/use"}})
        found = configured(tmp_path, instance=name, data_dir="/configured")
        assert find_folder(*found, "data_dir") == Path("/configured")


def test_what_a_process_said_counts_dead_or_alive(tmp_path: Path) -> None:
    name = unique_instance()
    found = configured(tmp_path, instance=name)
    default = found[1].data_dir
    with real_segment(tmp_path, name) as (_, nonrt):
        assert find_folder(*found, "data_dir") == default
        damages: list[Any] = [None, [], {"data_dir": None}, {"data_dir": "relative"}]
        for damaged in damages:
            write_nonrt_document(nonrt, {"folders": damaged})
            assert find_folder(*found, "data_dir") == default
        write_nonrt_document(nonrt, {"folders": {"data_dir": "/in/use"}})
        assert find_folder(*found, "data_dir") == Path("/in/use")
    assert find_folder(*found, "data_dir") == default


@pytest.mark.parametrize("named", [True, False])
def test_without_a_segment_the_folders_of_up_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shared.cli.folders._said", lambda _: {})
    name = unique_instance() if named else None
    found = configured(tmp_path / "home", instance=name)
    for field, folder in UP_FOLDERS.items():
        expected = tmp_path / "var" / (name or "") / folder
        assert find_folder(*found, field) == getattr(found[1], field)
        expected.mkdir(parents=True)
        assert find_folder(*found, field).resolve() == expected
