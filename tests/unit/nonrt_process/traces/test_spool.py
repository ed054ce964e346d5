from __future__ import annotations

import errno
import logging
import os
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nonrt_process.traces import frames, spool
from nonrt_process.traces.spool import Spool, Taken

LOG = logging.getLogger("test.spool")


def make(folder: Path, quota_bytes: int = 1 << 20) -> Spool:
    made = Spool(folder, LOG, quota_bytes=quota_bytes)
    made.open()
    return made


def numbers(body: bytes) -> list[int]:
    return [value for (value,) in struct.iter_unpack("<I", body)]


def body(first: int, count: int) -> bytes:
    return struct.pack(f"<{count}I", *range(first, first + count))


def drain(from_spool: Spool, limit: int = 10) -> list[int]:
    found: list[int] = []
    while (taken := from_spool.take(limit)) is not None:
        found += numbers(taken.body)
        from_spool.acknowledge(taken)
    return found


class SpoolMachine(RuleBasedStateMachine):
    """Against a plain list: order stays, nothing is lost but what is counted, over any number of
    crashes; only what was under way at a crash comes again.
    """

    QUOTA = 32_768

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.spool = make(Path(self.folder.name), self.QUOTA)
        self.next = 0
        self.delivered: list[int] = []
        self.taken: Taken | None = None
        self.dropped = 0

    @rule(count=st.integers(1, 800))
    def append(self, count: int) -> None:
        self.spool.append(body(self.next, count), count, struct.pack("<I", self.next + count))
        self.next += count

    @precondition(lambda self: self.taken is None)
    @rule(limit=st.integers(1, 3000))
    def take(self, limit: int) -> None:
        self.taken = self.spool.take(limit)
        if self.taken is not None:
            found = numbers(self.taken.body)
            assert len(found) == self.taken.total
            expected = self.delivered[-1] + 1 if self.delivered else 0
            if not self.dropped + self.spool.dropped:
                assert found[0] == expected
            assert found[0] >= expected

    @precondition(lambda self: self.taken is not None)
    @rule()
    def acknowledge(self) -> None:
        assert self.taken is not None
        self.delivered += numbers(self.taken.body)
        self.spool.acknowledge(self.taken)
        self.taken = None

    @precondition(lambda self: self.taken is None)
    @rule(torn=st.integers(0, 40))
    def crash(self, torn: int) -> None:
        """The process is gone without a word, perhaps in the middle of a write."""
        self.dropped += self.spool.dropped
        mark = self.spool.last_mark
        newest = max(Path(self.folder.name).glob("*.spans"))
        self.spool.close()
        with newest.open("ab") as file:
            file.write(frames.pack(body(1 << 30, 9), 9, b"torn")[:torn])
        self.spool = make(Path(self.folder.name), self.QUOTA)
        assert self.spool.last_mark == mark

    @invariant()
    def everything_is_somewhere(self) -> None:
        dropped = self.dropped + self.spool.dropped
        assert len(self.delivered) + self.spool.pending() + dropped == self.next
        assert self.delivered == sorted(set(self.delivered))
        assert self.spool.size_bytes() <= self.QUOTA + 8192

    def teardown(self) -> None:
        if self.taken is not None:
            self.acknowledge()
        self.delivered += drain(self.spool)
        assert len(self.delivered) + self.dropped + self.spool.dropped == self.next
        self.spool.close()
        self.folder.cleanup()


SpoolMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
TestSpool = SpoolMachine.TestCase


def test_only_the_request_under_way_at_a_crash_repeats(tmp_path: Path) -> None:
    first = make(tmp_path)
    for n in range(10):
        first.append(body(n * 10, 10), 10)
    taken = first.take(20)
    assert taken is not None
    first.acknowledge(taken)
    under_way = first.take(20)
    assert under_way is not None
    first.close()  # a crash: it was sent and not acknowledged
    second = make(tmp_path)
    assert drain(second, 20) == list(range(20, 100))
    second.close()


def test_what_is_delivered_leaves_the_disk(tmp_path: Path) -> None:
    made = make(tmp_path, 1 << 20)
    for n in range(400):
        made.append(body(n * 1000, 1000), 1000)
        taken = made.take(1000)
        assert taken is not None
        made.acknowledge(taken)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1 << 18
    made.close()


def test_a_taken_request_outlives_its_file(tmp_path: Path) -> None:
    made = make(tmp_path, 32_768)
    made.append(body(0, 500), 500)
    taken = made.take(500)
    assert taken is not None
    n = 500
    while made.dropped == 0:
        made.append(body(n, 500), 500)
        n += 500
    held = made.dropped
    assert made.dropped + made.pending() == n
    made.acknowledge(taken)
    assert made.dropped == held
    assert made.dropped + made.pending() + 500 == n
    made.close()


def test_damage_costs_the_rest_of_one_file_and_is_counted(tmp_path: Path) -> None:
    first = make(tmp_path, 64_000)
    for n in range(10):
        first.append(body(n * 500, 500), 500)
    paths = sorted(tmp_path.glob("*.spans"))
    assert len(paths) > 2
    with paths[0].open("r+b") as file:
        file.seek(frames.HEADER.size + 100)
        file.write(b"\xff\xff\xff\xff")
    found = drain(first)
    assert found == sorted(found)
    assert len(found) + first.dropped == 5000
    assert first.damaged == 1
    assert found[-1] == 4999
    first.close()


def test_a_full_disk_keeps_the_order_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = make(tmp_path)
    made.append(body(0, 5), 5)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched, caplog.at_level(logging.INFO):
        patched.setattr(spool, "_write_all", full)
        made.append(body(5, 5), 5)
        made.append(body(10, 5), 5)
        assert not made.durable
    assert len(caplog.records) == 1
    made.append(body(15, 5), 5)
    assert drain(made, 3) == list(range(20))
    made.append(body(20, 5), 5)
    assert made.durable
    assert drain(made) == list(range(20, 25))
    made.close()


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 4000)
    made = Spool(None, LOG)
    made.open()
    for n in range(20):
        made.append(body(n * 100, 100), 100)
    assert made.dropped == 1000
    assert drain(made) == list(range(1000, 2000))


def test_a_second_process_leaves_the_folder_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = make(tmp_path)
    first.append(body(0, 5), 5)
    second = make(tmp_path)
    assert "another process" in caplog.text
    second.append(body(100, 5), 5)
    assert drain(second) == list(range(100, 105))
    assert drain(first) == list(range(5))
    first.close()
    second.close()


def test_files_are_private(tmp_path: Path) -> None:
    made = make(tmp_path / "spool")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o750
    assert all(path.stat().st_mode & 0o777 == 0o640 for path in (tmp_path / "spool").iterdir())
    made.close()
