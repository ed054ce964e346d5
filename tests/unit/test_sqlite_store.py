from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import sqlite_store
from shared.sqlite_store import Schema, SqliteStore, StoreClosedError, StoreError

SCHEMA = Schema(1, "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)")


def add(text: str) -> Callable[[sqlite3.Connection], int]:
    def job(connection: sqlite3.Connection) -> int:
        row = connection.execute("INSERT INTO item (text) VALUES (?) RETURNING id", (text,))
        return int(row.fetchone()[0])

    return job


def texts(store: SqliteStore) -> list[str]:
    with store.read() as connection:
        return [row[0] for row in connection.execute("SELECT text FROM item ORDER BY id")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "new" / "items.sqlite3", SCHEMA)
    store.open()
    yield store
    store.close()


def test_written_rows_are_read_and_survive_reopening(store: SqliteStore) -> None:
    assert store.write(add("a")) == 1
    assert texts(store) == ["a"]
    store.close()
    store.open()
    assert texts(store) == ["a"]


def test_file_is_private_and_durable(store: SqliteStore) -> None:
    store.write(add("a"))
    for path in store.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0, path
    mode = store.write(
        lambda c: (
            c.execute("PRAGMA journal_mode").fetchone()[0],
            c.execute("PRAGMA synchronous").fetchone()[0],
        )
    )
    assert mode == ("wal", 2)


def test_a_failing_job_takes_no_neighbour_with_it(store: SqliteStore) -> None:
    store.write(add("taken"))
    begun, gate = threading.Event(), threading.Event()

    def wait(connection: sqlite3.Connection) -> bool:
        begun.set()
        return gate.wait(10)

    blocker = store.submit(wait)
    assert begun.wait(10)
    futures = [store.submit(add(text)) for text in ("x", "taken", "y")]
    commits = store.commits
    gate.set()
    assert blocker.result(10)
    assert futures[0].result(10) == 2
    with pytest.raises(sqlite3.IntegrityError):
        futures[1].result(10)
    assert futures[2].result(10) == 3
    assert texts(store) == ["taken", "x", "y"]
    assert store.commits == commits + 2, "the three waited for the blocker and share a commit"


def test_half_done_job_leaves_nothing(store: SqliteStore) -> None:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO item (text) VALUES ('half')")
        raise KeyError("stop")

    with pytest.raises(KeyError):
        store.write(job)
    assert texts(store) == []


def test_many_threads(store: SqliteStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: store.write(add(str(n))), range(400)))
    assert sorted(map(int, texts(store))) == list(range(400))
    assert store.commits < 400, "commits are shared"


def test_readers_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(StoreError, match=r"readonly|read-only"), store.read() as c:
        c.execute("INSERT INTO item (text) VALUES ('no')")


def test_closed_store_refuses(store: SqliteStore) -> None:
    store.close()
    with pytest.raises(StoreClosedError):
        store.write(add("late"))
    with pytest.raises(StoreClosedError), store.read():
        pass


def test_close_finishes_what_is_queued(store: SqliteStore) -> None:
    futures = [store.submit(add(str(n))) for n in range(50)]
    store.close()
    assert [future.result(0) for future in futures] == list(range(1, 51))


def test_newer_schema_is_refused_and_left_alone(store: SqliteStore) -> None:
    store.write(add("a"))
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="newer version"):
        store.open()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 1")
    store.open()
    assert texts(store) == ["a"]


def test_migration(store: SqliteStore) -> None:
    store.write(add("a"))
    store.close()
    newer = Schema(2, "unused", ((2, "ALTER TABLE item ADD COLUMN size INTEGER DEFAULT 7"),))
    migrated = SqliteStore(store.path, newer)
    migrated.open()
    with migrated.read() as connection:
        assert connection.execute("SELECT text, size FROM item").fetchall() == [("a", 7)]
    migrated.close()


def test_not_a_database_is_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite3"
    path.write_bytes(b"this is no database at all, and long enough to be looked at" * 40)
    store = SqliteStore(path, SCHEMA)
    store.open()
    store.write(add("new"))
    assert texts(store) == ["new"]
    assert len(store.rebuilt) == 1
    assert store.rebuilt[0].moved_to.read_bytes().startswith(b"this is no")
    store.close()


def fill_and_damage(path: Path, page: int, byte: int = 0xFF) -> int:
    """Fill a file with 600 rows and overwrite one of its pages; returns how many pages it had."""
    store = SqliteStore(path, SCHEMA)
    store.open()
    store.write(lambda c: [add(f"{n:05}" * 40)(c) for n in range(600)] and None)
    store.close()
    raw = bytearray(path.read_bytes())
    size = int.from_bytes(raw[16:18], "big")
    pages = len(raw) // size
    first = size * (page % pages)
    raw[first : first + size] = bytes([byte]) * size
    path.write_bytes(raw)
    return pages


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(page=st.integers(1, 200), byte=st.sampled_from([0, 0xFF, 0x5A]))
def test_damaged_page_costs_only_what_was_on_it(
    tmp_path_factory: pytest.TempPathFactory, page: int, byte: int
) -> None:
    path = tmp_path_factory.mktemp("damage") / "items.sqlite3"
    fill_and_damage(path, page, byte)
    store = SqliteStore(path, SCHEMA)
    store.open()
    kept = texts(store)
    expected = {f"{n:05}" * 40 for n in range(600)}
    assert set(kept) <= expected, "no invented rows"
    store.write(add("works"))
    assert "works" in texts(store)
    store.close()
    if store.rebuilt:
        assert store.rebuilt[0].rows_kept == len(kept)
        assert store.rebuilt[0].moved_to.exists()


def test_rows_around_a_damaged_page_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite3"
    pages = fill_and_damage(path, 12)
    store = SqliteStore(path, SCHEMA)
    store.open()
    assert len(store.rebuilt) == 1
    assert 600 - 5 * 600 // pages <= store.rebuilt[0].rows_kept <= 600
    store.close()


def test_corruption_found_while_running_is_rebuilt_and_the_job_kept(store: SqliteStore) -> None:
    store.write(add("before"))
    failed: list[bool] = []

    def job(connection: sqlite3.Connection) -> int:
        if not failed:
            failed.append(True)
            raise sqlite3.DatabaseError("database disk image is malformed")
        return add("after")(connection)

    store.write(job)
    assert texts(store) == ["before", "after"]
    assert len(store.rebuilt) == 1


def test_an_io_error_refuses_the_group_and_the_store_goes_on(store: SqliteStore) -> None:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO item (text) VALUES ('lost')")
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreError, match="disk I/O error"):
        store.write(job)
    assert store.last_error == "disk I/O error"
    assert not store.rebuilt
    store.write(add("next"))
    assert store.last_error is None
    assert texts(store) == ["next"]


def test_full_disk_refuses_and_goes_on(store: SqliteStore) -> None:
    store.write(lambda c: c.execute("PRAGMA max_page_count = 8").fetchall())
    with pytest.raises(StoreError, match="full"):
        store.write(lambda c: [add(f"{n}" * 3000)(c) for n in range(50)])
    assert texts(store) == []
    store.write(add("small"))
    assert texts(store) == ["small"]


def test_file_that_cannot_be_opened_says_so(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(sqlite_store, "_create_private", refuse)
    with pytest.raises(StoreError, match="Permission denied; give the folder"):
        store.open()
    monkeypatch.undo()
    store.open()
    store.write(add("a"))


def test_file_lost_while_running_refuses_until_it_is_back(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def refuse(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(sqlite_store, "_create_private", refuse)
    with pytest.raises(StoreError, match="Input/output error"):
        store.write(fail)
    with pytest.raises(StoreError):
        store.write(add("refused"))
    monkeypatch.undo()
    deadline = threading.Event()
    for _ in range(100):
        try:
            store.write(add("back"))
            break
        except StoreError:
            deadline.wait(0.1)
    assert texts(store) == ["back"]


def test_retention_and_quota(tmp_path: Path) -> None:
    calls: list[bool] = []

    def retain(connection: sqlite3.Connection, shrink: bool) -> int:
        calls.append(shrink)
        where = "id IN (SELECT id FROM item ORDER BY id LIMIT 20)" if shrink else "text = 'old'"
        return connection.execute(f"DELETE FROM item WHERE {where}").rowcount

    store = SqliteStore(
        tmp_path / "i.sqlite3", SCHEMA, quota_bytes=1_000_000, retain=retain, retain_interval_s=0.05
    )
    store.open()
    store.write(add("old"))
    store.write(lambda c: [add(f"{n:05}" * 200)(c) for n in range(600)] and None)
    for _ in range(200):
        kept = texts(store)
        if "old" not in kept and True in calls and len(kept) < 200:
            break
        threading.Event().wait(0.02)
    kept = texts(store)
    assert "old" not in kept
    assert f"{599:05}" * 200 in kept, "the newest stay"
    assert 100 < len(kept) < 200, "a little below the quota (two pages a row), not empty"
    store.close()
    assert store.size_bytes() < 1_500_000, "freed pages are given back"


def test_a_finished_write_survives_kill_9(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from shared.sqlite_store import Schema, SqliteStore
        store = SqliteStore(Path(sys.argv[1]), Schema(1,
            "CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)"))
        store.open()
        n = 0
        while True:
            store.write(lambda c: c.execute("INSERT INTO item (text) VALUES (?)", (str(n),)))
            os.write(1, f"{n}\\n".encode())
            n += 1
        """
    )
    path = tmp_path / "items.sqlite3"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(50)]
    process.kill()
    acknowledged += [
        int(line) for line in process.stdout.read().splitlines(True) if line[-1] == "\n"
    ]
    process.wait()
    store = SqliteStore(path, SCHEMA)
    store.open()
    kept = {int(text) for text in texts(store)}
    store.close()
    assert set(acknowledged) <= kept
    assert not store.rebuilt
