from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nonrt_process.logs import log_file
from nonrt_process.logs.log_file import LogFile
from shared.clock import FakeClock

HOUR_NS = 3600 * 10**9


def make(
    folder: Path,
    clock: FakeClock | None = None,
    max_bytes: int = 1 << 20,
    quota: int = 1 << 30,
    hours: float = 24,
) -> LogFile:
    numbers = count()
    return LogFile(
        folder / "log" / "rt.log",
        clock or FakeClock(),
        lambda: b'{"@timestamp":"2023-11-14T22:13:20Z","n":%d}\n' % next(numbers),
        max_bytes=max_bytes,
        max_age_hours=hours,
        total_quota_bytes=quota,
    )


def content(file: LogFile) -> list[bytes]:
    """Lines without the first one."""
    return file.path.read_bytes().splitlines()[1:]


def test_lines_are_appended_behind_the_first_one(tmp_path: Path) -> None:
    file = make(tmp_path)
    file.append(b"a\n")
    file.append(bytearray(b"b\nc\n"))
    assert content(file) == [b"a", b"b", b"c"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert stat.S_IMODE(file.path.parent.stat().st_mode) & 0o027 == 0
    file.close()
    again = make(tmp_path)
    again.append(b"d\n")
    assert content(again) == [b"a", b"b", b"c", b"d"], "one first line a file"


@pytest.mark.parametrize("torn", [b"x", b"half a line", b"y" * 200_000])
def test_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    file = make(tmp_path)
    file.append(b"whole\n")
    file.close()
    with file.path.open("ab") as raw:
        raw.write(torn)
    assert list(file.lines_from_end())[:-1] == [b"whole"]
    file.append(b"next\n")
    assert content(file) == [b"whole", b"next"]


def test_file_of_nothing_but_a_torn_line_begins_anew(tmp_path: Path) -> None:
    file = make(tmp_path)
    file.path.parent.mkdir()
    file.path.write_bytes(b"torn")
    file.append(b"a\n")
    assert content(file) == [b"a"]


def test_rotation_keeps_every_line_and_the_inode(tmp_path: Path) -> None:
    file = make(tmp_path, max_bytes=3000)
    file.append(b"x" * 1999 + b"\n")
    inode = file.path.stat().st_ino
    file.append(b"y" * 1999 + b"\n")
    rotated = file.rotated()
    assert [path.stat().st_ino for path in rotated] == [inode]
    assert content(file) == [b"y" * 1999]
    firsts = [path.read_bytes().splitlines()[0] for path in (*rotated, file.path)]
    assert len(set(firsts)) == 2
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640


def test_rotated_names_sort_by_age_within_a_second(tmp_path: Path) -> None:
    file = make(tmp_path, max_bytes=1500)
    for n in range(30):
        file.append(b"%04d" % n + b"z" * 1400 + b"\n")
    found = [line[:4] for line in file.lines_from_end() if line[:1] == b"0"]
    assert found == [b"%04d" % n for n in reversed(range(30))]


def test_rotation_by_age_also_after_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    file = make(tmp_path, clock, hours=1)
    file.append(b"a" * 2000 + b"\n")
    file.tick()
    assert not file.rotated()
    file.close()
    clock.advance(HOUR_NS + 1)
    later = make(tmp_path, clock, hours=1)
    later.append(b"b\n")
    assert len(later.rotated()) == 1
    assert content(later) == [b"b"]


def test_quota_deletes_the_oldest(tmp_path: Path) -> None:
    file = make(tmp_path, max_bytes=2000, quota=9000)
    for n in range(40):
        file.append(b"%04d" % n + b"z" * 1500 + b"\n")
        total = sum(path.stat().st_size for path in file.path.parent.iterdir())
        assert total <= 9000
    assert content(file)[-1][:4] == b"0039"
    assert len(file.rotated()) >= 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_failed_write_leaves_whole_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, taken: int
) -> None:
    file = make(tmp_path)
    file.append(b"before\n")
    real = os.write
    calls: list[int] = []

    def short_then_fail(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 1 and taken:
            return real(descriptor, data[:taken])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", short_then_fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        file.append(b"lost one\nlost two\n")
    monkeypatch.undo()
    assert content(file) == [b"before"]
    file.append(b"after\n")
    assert content(file) == [b"before", b"after"]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    file.append(b"a long line\nanother\n")
    assert content(file) == [b"a long line", b"another"]


def _delete(path: Path) -> None:
    path.unlink()


def _move(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))


def _folder_gone(path: Path) -> None:
    path.parent.rename(path.parent.with_name("gone"))


@pytest.mark.parametrize("spoil", [_delete, _move, _folder_gone])
def test_file_taken_away_is_made_again(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    file = make(tmp_path)
    file.append(b"a\n")
    spoil(file.path)
    file.append(b"b\n")
    assert content(file) == [b"b"]


def test_symlink_is_not_followed(tmp_path: Path) -> None:
    file = make(tmp_path)
    file.path.parent.mkdir()
    target = tmp_path / "target"
    target.write_bytes(b"precious\n")
    file.path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        file.append(b"x\n")
    assert target.read_bytes() == b"precious\n"


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    lines=st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b""))),
    torn=st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"")),
    chunk=st.integers(1, 64),
)
def test_reading_from_the_end(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + torn)
    before = log_file._CHUNK
    log_file._CHUNK = chunk  # type: ignore[misc]
    try:
        found = list(log_file._lines_from_end(path))
        with path.open("r+b") as file:
            end = log_file._cut_torn_line(file.fileno(), path.stat().st_size)
    finally:
        log_file._CHUNK = before  # type: ignore[misc]
    # An empty first line is indistinguishable from no line, and is none of ours.
    assert found in (lines[::-1], lines[:0:-1] if lines and not lines[0] else None)
    assert path.stat().st_size == end == sum(map(len, lines)) + len(lines)
