from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from shared.checkpoint_file import CheckpointFile, write_checkpoint
from shared.cli import checkpoints
from shared.cli.checkpoints import Store, differences, seal_file
from shared.cli.errors import CommandError
from shared.cli.main import main
from tests.helpers import unique_instance

NOW = datetime(2026, 5, 1, tzinfo=timezone.utc)
INSTANCE = unique_instance("checkpoint")


def write(folder: Path, age_s: float = 0, state: str = "RUNNING", **more: Any) -> CheckpointFile:
    content = {
        "instance": INSTANCE,
        "rt_state": {"state": state, "cycle": 1, "axes": [{"setpoint": 0.5}], "active_tasks": []},
        "datastore_snapshot": {},
        "eventbus_queue_snapshot": [],
        **more,
    }
    return write_checkpoint(folder, "rt_process", content, NOW - timedelta(seconds=age_s))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, INSTANCE)


def run(store: Store, *arguments: str) -> int:
    options = ["--dir", str(store.directory), "--instance", INSTANCE]
    return main(["checkpoint", *arguments, *([] if arguments[0] == "seal" else options)])


def test_list_names_good_and_bad(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = write(store.directory, 60), write(store.directory)
    bad.path.write_bytes(bad.path.read_bytes()[:-9])
    assert run(store, "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == [bad.path.name, good.path.name]
    assert [row["good"] for row in rows] == [False, True]
    assert "not whole" in rows[0]["problem"]
    assert rows[1]["state"] == "RUNNING"
    assert run(store, "verify") == 1
    assert run(store, "verify", str(good.path)) == 0


@pytest.mark.parametrize("way", ["path", "name", "id", "newest"])
def test_show_finds_it(store: Store, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(store.directory, 60)
    file = write(store.directory)
    which = {
        "path": str(file.path),
        "name": file.path.name,
        "id": file.checkpoint_id[:8],
        "newest": "newest",
    }[way]
    assert run(store, "show", which, "--json") == 0
    assert json.loads(capsys.readouterr().out)["checkpoint_id"] == file.checkpoint_id


@pytest.mark.parametrize("which", ["", "x", "ffff0000-none", "gone.json"])
def test_what_is_not_there(store: Store, which: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(store.directory)
    assert run(store, "show", which) == 1
    assert "mxrc checkpoint list" in capsys.readouterr().err


def test_no_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Store(tmp_path / "none", INSTANCE), "list") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_diff(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(store.directory, 60), write(store.directory, state="PAUSED", restored_from="x")
    assert run(store, "diff", str(a.path), str(b.path), "--json") == 1
    rows = json.loads(capsys.readouterr().out)
    assert {row["path"]: (row["first"], row["second"]) for row in rows} == {
        "restored_from": (None, "x"),
        "rt_state.state": ("RUNNING", "PAUSED"),
    }
    assert run(store, "diff", str(a.path), str(a.path)) == 0
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]})[0].path == "a[1].b"


def test_seal_makes_an_edited_file_good(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(store.directory)
    file.path.write_text(file.path.read_text().replace("RUNNING", "PAUSED"))
    file.path.chmod(0o640)
    assert run(store, "verify", str(file.path)) == 1
    assert run(store, "seal", str(file.path)) == 0
    assert run(store, "verify", str(file.path)) == 0
    assert file.path.stat().st_mode & 0o777 == 0o640
    assert store.find("newest").document["rt_state"]["state"] == "PAUSED"
    assert [path.name for path in store.directory.iterdir()] == [file.path.name]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": NaN}'])
def test_seal_refuses_what_is_no_document(store: Store, text: str) -> None:
    path = store.directory / "rt_process_20260501000000.json"
    path.write_text(text)
    with pytest.raises(CommandError):
        seal_file(path)
    assert path.read_text() == text
    link = store.directory / "link.json"
    link.symlink_to(path)
    with pytest.raises(CommandError, match="regular"):
        seal_file(link)


def test_restore_becomes_the_newest_even_of_a_clock_that_went_back(store: Store) -> None:
    old = write(store.directory, 60, state="PAUSED")
    future = write(store.directory, age_s=-10 * 365 * 86_400)
    new = store.restore(old)
    assert store.find("newest").checkpoint_id == new.checkpoint_id
    assert new.checkpoint_id not in (old.checkpoint_id, future.checkpoint_id)
    assert new.document["rt_state"] == old.document["rt_state"]
    assert new.document["restored_from"] == old.checkpoint_id


class _Member:
    pid = os.getpid()
    process_start = 0


class _Segment:
    max_members = 1

    def member_struct(self, _index: int) -> _Member:
        return _Member()

    def __enter__(self) -> _Segment:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("alive", "words"), [(True, "mxrc rt stop"), (False, "mxrc shm clean")])
def test_restore_is_refused_beside_a_segment(
    store: Store, monkeypatch: pytest.MonkeyPatch, alive: bool, words: str
) -> None:
    file = write(store.directory)
    monkeypatch.setattr("shared.segment.Segment.attach", lambda _name: _Segment())
    monkeypatch.setattr(checkpoints, "process_alive", lambda *_: alive)
    with pytest.raises(CommandError, match=words):
        store.restore(file)
    assert len(list(store.directory.iterdir())) == 1
