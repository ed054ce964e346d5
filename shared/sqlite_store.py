"""Local stores: one SQLite file each, one writer thread, durable when a call returns.

What every store of mxrc has in common (tasks, indexes of logs and spans): write-ahead log, one
writer connection that commits in groups and checkpoints the log, a pool of read-only connections, a
quota with retention, and a rebuild when the file turns out to be corrupt.

Group commit: jobs that arrive while a commit is on its way to the disk share the next one, so
the number of fsyncs does not grow with the number of callers. Each job runs under a savepoint of
its own: one that fails takes nothing of its neighbours with it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from shared.sqlite_salvage import salvage
from shared.sqlite_transaction import Job, T, is_corruption, run_jobs, transaction

log = logging.getLogger("mxrc.store")

MAX_GROUP: Final = 512
"""Jobs in one transaction: bounds how long the first of them waits."""
WAL_CHECKPOINT_BYTES: Final = 4 << 20
BUSY_TIMEOUT_S: Final = 5.0


class StoreError(Exception):
    """The store could not do what was asked; nothing of it was kept. Says what to do."""


class StoreClosedError(StoreError):
    """The store is not open (any more)."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a store holds.

    version: stored as user_version; a file of a newer one is refused.
    create: SQL script for an empty file.
    migrations: SQL script that leads from version N - 1 to N, by N.
    """

    version: int
    create: str
    migrations: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A corrupt file was moved away and a new one filled with the rows that could still be read."""

    moved_to: Path
    reason: str
    rows_kept: int
    tables_damaged: tuple[str, ...]

    def __str__(self) -> str:
        damaged = ", ".join(self.tables_damaged) or "none"
        return (
            f"corrupt ({self.reason}); moved to {self.moved_to}, {self.rows_kept} rows taken over, "
            f"damaged tables: {damaged}"
        )


class SqliteStore:
    """A store in one file.

    path: the file; its folder is created (0750).
    schema: tables.
    synchronous: FULL: a finished `write` survives power loss; NORMAL: a crash of the process.
    quota_bytes: size that `retain` keeps the content under; None: no bound.
    retain: deletes what is too old, and with its second argument true at least some of the oldest
        rows whatever their age; returns how many rows it deleted. Runs in the writer thread.
    retain_interval_s: time between two calls of `retain`.
    verify: check the whole file when it is opened (time grows with its size).
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        quota_bytes: int | None = None,
        retain: Callable[[sqlite3.Connection, bool], int] | None = None,
        retain_interval_s: float = 60.0,
        verify: bool = True,
    ) -> None:
        self.path: Final = path
        self.rebuilt: list[Rebuilt] = []
        self._schema = schema
        self._synchronous = synchronous
        self._quota_bytes = quota_bytes
        self._retain = retain
        self._retain_interval_s = retain_interval_s
        self._verify = verify
        self._condition = threading.Condition()
        self._jobs: deque[tuple[Job[Any], Future[Any]]] = deque()
        self._stop = False
        self._open = False
        self._thread: threading.Thread | None = None
        self._readers: list[tuple[int, sqlite3.Connection]] = []
        self._readers_lock = threading.Lock()
        self._incarnation = 0
        self.commits = 0
        self.last_error: str | None = None
        """Why the last commit failed; None once one worked again."""

    # ---- life ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Open or create the file and start the writer.

        Raises:
            StoreError: not to be opened; says why. `open` may be tried again.
        """
        started: Future[None] = Future()
        self._stop = False
        self._thread = threading.Thread(
            target=self._run, args=(started,), name=f"store-{self.path.stem}", daemon=True
        )
        self._thread.start()
        started.result()
        self._open = True

    def close(self) -> None:
        """Finish what is queued, fold the write-ahead log into the file, close."""
        with self._condition:
            self._open = False
            self._stop = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._close_readers()

    @property
    def is_open(self) -> bool:
        return self._open

    # ---- use -----------------------------------------------------------------------------------

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue `job`; it runs in the writer thread inside a transaction of its own.

        The future ends when the job is on disk (synchronous FULL), with what the job returned,
        with what it raised, or with a StoreError. A job may run again in a new transaction, if
        the file had to be rebuilt: it must have no effect but on the connection.
        """
        future: Future[T] = Future()
        with self._condition:
            if not self._open:
                raise StoreClosedError(f"{self.path}: the store is not open")
            self._jobs.append((job, future))
            self._condition.notify()
        return future

    def write(self, job: Job[T]) -> T:
        """Run `job` and wait until it is on disk."""
        return self.submit(job).result()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection; a snapshot for as long as a transaction is open on it.

        Raises:
            StoreError: the file cannot be read. A corrupt one is rebuilt by the writer.
        """
        incarnation, connection = self._take_reader()
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            connection.close()
            if is_corruption(error):
                self._request_rebuild()
            raise StoreError(f"{self.path}: {error}") from error
        except BaseException:
            connection.close()
            raise
        else:
            with self._readers_lock:
                keep = incarnation == self._incarnation and len(self._readers) < 8 and self._open
                if keep:
                    self._readers.append((incarnation, connection))
            if not keep:
                connection.close()

    def size_bytes(self) -> int:
        """Bytes on disk, the write-ahead log included."""
        total = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                total += Path(f"{self.path}{suffix}").stat().st_size
        return total

    # ---- readers -------------------------------------------------------------------------------

    def _take_reader(self) -> tuple[int, sqlite3.Connection]:
        if not self._open:
            raise StoreClosedError(f"{self.path}: the store is not open")
        with self._readers_lock:
            if self._readers:
                return self._readers.pop()
            incarnation = self._incarnation
        try:
            connection = self._connect()
            connection.execute("PRAGMA query_only = 1")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return incarnation, connection

    def _close_readers(self) -> None:
        with self._readers_lock:
            self._incarnation += 1
            readers, self._readers = self._readers, []
        for _, connection in readers:
            connection.close()

    def _request_rebuild(self) -> None:
        """Have the writer look at the file; what it finds corrupt it rebuilds."""

        def check(connection: sqlite3.Connection) -> None:
            _check(connection)

        with suppress(StoreError):
            self.submit(check)

    # ---- writer thread -------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def _open_file(self) -> sqlite3.Connection:
        """Open, verify, bring the schema up to date; rebuild a corrupt file once."""
        try:
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            _create_private(self.path)
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be opened: {error.strerror}; "
                "give the folder to the user that runs mxrc, or configure another"
            ) from error
        try:
            return self._prepare()
        except sqlite3.DatabaseError as error:
            if not is_corruption(error):
                raise StoreError(f"{self.path}: cannot be opened: {error}") from error
            self._rebuild(str(error))
        try:
            return self._prepare()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be opened: {error}") from error

    def _prepare(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            # Has to come before the first table; changes nothing in a file that has some.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA wal_autocheckpoint = 0")  # the writer does it
            connection.execute("PRAGMA foreign_keys = 1")
            if self._verify:
                _check(connection)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        wanted = self._schema.version
        if found > wanted:
            raise StoreError(
                f"{self.path}: written by a newer version (schema {found}, this one knows up to "
                f"{wanted}): update mxrc or move the file away"
            )
        steps = [(wanted, self._schema.create)] if found == 0 else list(self._schema.migrations)
        for version, script in steps:
            if version > found:
                try:
                    connection.executescript(
                        f"BEGIN IMMEDIATE;\n{script};\nPRAGMA user_version = {version};\nCOMMIT;"
                    )
                except sqlite3.Error:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise

    def _rebuild(self, reason: str) -> None:
        """Move the file away and take over every row that can still be read."""
        self._close_readers()
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}-{len(self.rebuilt)}")
        try:
            for suffix in ("", "-wal"):
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
            with suppress(FileNotFoundError):
                Path(f"{self.path}-shm").unlink()
            _create_private(self.path)
            fresh = self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self.path}: corrupt, and cannot be rebuilt: {error}") from error
        try:
            kept, damaged = salvage(fresh, aside)
        finally:
            fresh.close()
        result = Rebuilt(aside, reason, kept, damaged)
        self.rebuilt.append(result)
        log.critical("%s: %s", self.path, result)

    def _run(self, started: Future[None]) -> None:
        try:
            connection = self._open_file()
        except Exception as error:  # noqa: BLE001 - handed to the caller of open()
            started.set_exception(error)
            return
        started.set_result(None)
        next_retain = time.monotonic()
        while True:
            with self._condition:
                while not self._jobs and not self._stop:
                    wait = next_retain - time.monotonic() if self._retain else None
                    if wait is not None and wait <= 0:
                        break
                    self._condition.wait(wait)
                count = min(len(self._jobs), MAX_GROUP)
                group = [self._jobs.popleft() for _ in range(count)]
                stop = self._stop and not group
            if group:
                connection = self._commit_group(connection, group)
            if stop:
                break
            if self._retain and time.monotonic() >= next_retain:
                self._apply_retention(connection)
                next_retain = time.monotonic() + self._retain_interval_s
            self._checkpoint(connection, WAL_CHECKPOINT_BYTES)
        self._checkpoint(connection, 0)
        connection.close()

    def _commit_group(
        self, connection: sqlite3.Connection, group: list[tuple[Job[Any], Future[Any]]]
    ) -> sqlite3.Connection:
        """Commit a group; returns the connection to go on with (another one after trouble)."""
        for attempt in range(2):
            try:
                outcomes = run_jobs(connection, [job for job, _ in group])
            except sqlite3.Error as error:
                self.last_error = str(error)
                with suppress(sqlite3.Error):
                    connection.close()
                try:
                    if is_corruption(error):
                        self._rebuild(str(error))
                    # After an I/O error nothing this connection believes is trusted.
                    connection = self._open_file()
                except StoreError as reopen_error:
                    _fail(group, reopen_error)
                    return self._wait_for_file(group)
                if is_corruption(error) and attempt == 0:
                    continue
                _fail(group, StoreError(f"{self.path}: not written: {error}"))
                return connection
            self.commits += 1
            self.last_error = None
            for (_, future), (value, failure) in zip(group, outcomes, strict=True):
                if failure is None:
                    future.set_result(value)
                else:
                    future.set_exception(failure)
            return connection
        raise AssertionError("unreachable")

    def _wait_for_file(self, group: list[tuple[Job[Any], Future[Any]]]) -> sqlite3.Connection:
        """Refuse every job until the file can be opened again."""
        while True:
            try:
                return self._open_file()
            except StoreError as error:
                self.last_error = str(error)
                with self._condition:
                    refused = [*group, *self._jobs]
                    self._jobs.clear()
                    _fail(refused, error)
                    if self._stop:
                        return sqlite3.connect(":memory:", isolation_level=None)
                    self._condition.wait(1.0)

    def _apply_retention(self, connection: sqlite3.Connection) -> None:
        assert self._retain is not None
        try:
            transaction(connection, lambda c: self._retain(c, False))  # type: ignore[misc]
            if self._quota_bytes is not None:
                while _used_bytes(connection) > self._quota_bytes:
                    if not transaction(connection, lambda c: self._retain(c, True)):  # type: ignore[misc]
                        break
            # A script is stepped to its end; execute() would free one page and stop.
            connection.executescript("PRAGMA incremental_vacuum(1000)")
        except sqlite3.Error as error:
            self.last_error = str(error)
            log.error("%s: retention failed: %s", self.path, error)

    def _checkpoint(self, connection: sqlite3.Connection, above_bytes: int) -> None:
        """Fold the write-ahead log into the file once it is larger than `above_bytes`."""
        try:
            size = Path(f"{self.path}-wal").stat().st_size
        except OSError:
            return
        if size > above_bytes:
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _create_private(path: Path) -> None:
    """SQLite gives -wal and -shm the mode of the file, so the file has it from the start."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    os.close(descriptor)


def _check(connection: sqlite3.Connection) -> None:
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding is not None and finding[0] != "ok":
        raise sqlite3.DatabaseError(str(finding[0]))


def _fail(group: list[tuple[Job[Any], Future[Any]]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
