from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import checkpoint_file
from shared.checkpoint_file import (
    CheckpointError,
    load_all,
    load_checkpoint,
    load_newest,
    remove_leftovers,
    seal,
    write_checkpoint,
)

PROCESS = "rt_process"
INSTANCE = "test"
NOW = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=timezone.utc)
CONTENT: dict[str, Any] = {
    "instance": INSTANCE,
    "rt_state": {"state": "RUNNING", "cycle": 123456789012, "setpoint": [0.1, -1e-17, 2.5e300]},
    "datastore_snapshot": {"näme": {"value": "ü\u2028", "type": "string"}},
    "eventbus_queue_snapshot": [],
}


def write(folder: Path, content: dict[str, Any] | None = None, now: datetime = NOW) -> Path:
    return write_checkpoint(folder, PROCESS, content or CONTENT, now).path


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    problems: list[str] = []
    found = load_newest(folder, PROCESS, INSTANCE, problems.append)
    return (found.path if found else None), problems


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write_checkpoint(tmp_path / "new", PROCESS, CONTENT, NOW)
    read = load_checkpoint(written.path, PROCESS, INSTANCE)
    assert read == written
    assert written.path.name == "rt_process_20261121010203.json"
    document = json.loads(written.path.read_bytes())
    assert document.items() >= CONTENT.items()
    assert set(document) == set(checkpoint_file.REQUIRED)
    assert document["checkpoint_size_bytes"] == written.path.stat().st_size == read.size_bytes
    assert document["is_complete"] is True
    assert document["file_path"] == str(written.path)
    assert datetime.fromisoformat(document["timestamp"]) == NOW == read.timestamp
    assert stat.S_IMODE(written.path.stat().st_mode) == 0o640
    assert [path.name for path in written.path.parent.iterdir()] == [written.path.name]


def test_names_are_unique_and_ordered_within_a_second(tmp_path: Path) -> None:
    paths = [write(tmp_path) for _ in range(12)]
    assert len(set(paths)) == 12
    assert [file.path for file in load_all(tmp_path, PROCESS, INSTANCE, pytest.fail)] == paths[::-1]
    later = write(tmp_path, now=NOW + timedelta(seconds=1))
    assert newest(tmp_path) == (later, [])


def test_a_deleted_middle_number_is_not_given_again(tmp_path: Path) -> None:
    paths = [write(tmp_path) for _ in range(3)]
    paths[1].unlink()
    assert write(tmp_path) not in paths


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(state=JSON, store=st.dictionaries(st.text(max_size=20), JSON, max_size=4))
def test_any_content_survives(
    tmp_path_factory: pytest.TempPathFactory, state: Any, store: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    content = {**CONTENT, "rt_state": state, "datastore_snapshot": store}
    path = write(folder, content)
    loaded = load_checkpoint(path, PROCESS, INSTANCE).document
    assert loaded["rt_state"] == state
    assert loaded["datastore_snapshot"] == store


# ---- what is not believed ----------------------------------------------------------------------


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(
    tmp_path_factory: pytest.TempPathFactory, at: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    good = write(folder)
    bad = write(folder, now=NOW + timedelta(seconds=5))
    raw = bytearray(bad.read_bytes())
    raw[int(at * len(raw))] ^= 1 << bit
    bad.write_bytes(raw)
    found, problems = newest(folder)
    if found == bad:  # white space that means nothing
        assert json.loads(raw) == json.loads(bad.read_bytes())
        assert bytes(raw).split() == bytes(raw).split()
        loaded = load_checkpoint(bad, PROCESS, INSTANCE).document
        assert loaded["rt_state"] == CONTENT["rt_state"]
    else:
        assert found == good
        assert len(problems) == 1
        assert str(bad) in problems[0]


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99, 0.9999])
def test_a_torn_file_is_skipped_by_name(tmp_path: Path, share: float) -> None:
    good = write(tmp_path)
    bad = write(tmp_path, now=NOW + timedelta(seconds=5))
    raw = bad.read_bytes()
    bad.write_bytes(raw[: int(share * len(raw))])
    found, problems = newest(tmp_path)
    assert found == good
    assert len(problems) == 1
    assert str(bad) in problems[0]


def _edit(**changes: Any) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        document = json.loads(path.read_bytes())
        document.update(changes)
        path.write_text(json.dumps(document, indent=1) + "\n")

    return spoil


def _reseal(**changes: Any) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(seal({**json.loads(path.read_bytes()), **changes}))

    return spoil


def _symlink(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _bytes(content: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(content)

    return spoil


def _text(text: str) -> Callable[[Path], None]:
    return _bytes(text.encode())


def _sparse(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(1 << 30)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_edit(rt_state={"state": "READY"}), "changed since it was written"),
        (_edit(checksum="sha256:" + "0" * 64), "changed since it was written"),
        (_edit(checksum=None), "changed since it was written"),
        (_edit(extra=1), "changed since it was written"),
        (_reseal(process_name="non_rt_process"), "another process"),
        (_reseal(instance="other"), "another instance"),
        (_reseal(format=2), "format 2"),
        (_reseal(format="1"), "not complete"),
        (_reseal(is_complete=False), "not complete"),
        (_reseal(timestamp="yesterday"), "not a checkpoint"),
        (_reseal(timestamp="2026-11-21T01:02:03"), "time zone"),
        (_symlink, "symbolic link"),
        (_fifo, "not a regular file"),
        (_folder, "not a regular file"),
        (_sparse, "bytes"),
        (_text(""), "0 bytes"),
        (_text("{}"), "missing"),
        (_text("[1, 2]"), "no JSON object"),
        (_text("null"), "no JSON object"),
        (_text("NaN"), "not allowed"),
        (_text("[" * 100_000), "no JSON"),
        (_text('{"a": ' + "9" * 10_000 + "}"), ""),
        (_text("\x00" * 50), "no JSON"),
        (_bytes(b"\xff\xfe{}"), "no JSON"),
    ],
)
def test_what_is_no_good_checkpoint_is_skipped_by_name(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    good = write(tmp_path)
    bad = write(tmp_path, now=NOW + timedelta(seconds=5))
    spoil(bad)
    found, problems = newest(tmp_path)
    assert found == good
    assert len(problems) == 1
    assert problems[0].startswith(f"{bad}: ")
    assert reason in problems[0]


def test_foreign_names_are_not_looked_at(tmp_path: Path) -> None:
    good = write(tmp_path)
    for name in (
        "rt_process_2026.json",
        "rt_process_20261121010203.json.bak",
        "non_rt_process_20991121010203.json",
        "rt_process_20261121010203_1.json",
        ".rt_process_20991121010203.json.1.tmp",
        "README",
    ):
        (tmp_path / name).write_text("{}")
    assert newest(tmp_path) == (good, [])
    with pytest.raises(CheckpointError, match="not the name"):
        load_checkpoint(tmp_path / "README", PROCESS, INSTANCE)


def test_absent_and_unreadable_folders(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent") == (None, [])
    (tmp_path / "file").write_text("x")
    found, problems = newest(tmp_path / "file")
    assert found is None
    assert "cannot be read" in problems[0]


def test_sealing_makes_an_edited_file_good_again(tmp_path: Path) -> None:
    path = write(tmp_path)
    _edit(rt_state={"state": "PAUSED"})(path)
    path.write_bytes(seal(json.loads(path.read_bytes())))
    assert load_checkpoint(path, PROCESS, INSTANCE).document["rt_state"] == {"state": "PAUSED"}


# ---- what goes wrong in writing ----------------------------------------------------------------


CALLS = ["open", "write", "fsync", "close", "rename", "flock"]


@pytest.mark.parametrize("code", [28, 5])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("call", CALLS)
def test_a_failing_system_call_leaves_the_old_ones_and_no_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int, code: int
) -> None:
    old = write(tmp_path)
    calls: list[str] = []
    holder: Any = {"flock": fcntl, "rename": Path}.get(call, os)
    real = getattr(holder, call)

    def failing(*args: Any, **options: Any) -> Any:
        calls.append(call)
        if len(calls) == nth:
            if call == "close":
                real(*args, **options)
            raise OSError(code, os.strerror(code))
        return real(*args, **options)

    failed = False
    with monkeypatch.context() as patch:
        patch.setattr(holder, call, failing)
        try:
            new = write(tmp_path, now=NOW + timedelta(seconds=9))
        except OSError:
            failed = True
    found, problems = newest(tmp_path)
    assert problems == []
    # The second close is that of the folder: the file is on disk by then.
    assert failed == (len(calls) >= nth and (call, nth) != ("close", 2))
    if failed:
        assert found == old
        assert sorted(path.name for path in tmp_path.iterdir()) == [old.name]
    else:
        assert found == new
    assert write(tmp_path, now=NOW + timedelta(seconds=10)) == newest(tmp_path)[0]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    assert newest(tmp_path)[0] is None
    assert newest(tmp_path / write(tmp_path).parent)[0] is not None


def test_order_of_the_system_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("write", "fsync"):
        real = getattr(os, name)

        def noted(*args: Any, _real: Any = real, _name: str = name) -> Any:
            folder = stat.S_ISDIR(os.fstat(args[0]).st_mode)
            calls.append(f"{_name} {'folder' if folder else 'file'}")
            return _real(*args)

        monkeypatch.setattr(os, name, noted)
    rename = Path.rename

    def noted_rename(self: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", noted_rename)
    write(tmp_path)
    assert calls == ["write file", "fsync file", "rename", "fsync folder"]


def test_kill_at_any_moment_leaves_the_old_ones_and_no_bad_one(tmp_path: Path) -> None:
    old = write(tmp_path)
    outcomes = set()
    for attempt in range(30):
        child = os.fork()
        if child == 0:
            while True:
                write_checkpoint(tmp_path, PROCESS, {**CONTENT, "pad": "x" * 50_000}, NOW)
        time.sleep(0.002 + attempt * 0.0007)
        os.kill(child, 9)
        os.waitpid(child, 0)
        _, problems = newest(tmp_path)
        assert problems == []
        outcomes.add(remove_leftovers(tmp_path))
        assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]
        for file in load_all(tmp_path, PROCESS, INSTANCE, pytest.fail):
            if file.path != old:
                file.path.unlink()
    assert outcomes <= {0, 1}


def test_leftovers_of_a_living_writer_stay(tmp_path: Path) -> None:
    dead = tmp_path / ".rt_process_20261121010203.json.999999999.tmp"
    alive = tmp_path / f".rt_process_20261121010203.json.{os.getppid()}.tmp"
    other = tmp_path / ".something.tmp"
    for path in (dead, alive, other):
        path.write_text("x")
    assert remove_leftovers(tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == sorted([alive, other])
    assert remove_leftovers(tmp_path / "absent") == 0
