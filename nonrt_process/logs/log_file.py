"""An append-only file of lines with one writer: whole lines or none, rotation under a quota.

Rotated files are called `<name>.<UTC time>-<number>`, so that their names sort by age. They are
renamed, and a new file is created: who follows them by inode (Filebeat, `tail -F`) misses nothing.
Each file begins with a line that no other file has.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from shared import log_files
from shared.clock import Clock
from shared.wall_time import realtime_ns

_CHUNK: Final = 1 << 16
_MAX_LINE: Final = 1 << 20


class LogFile:
    """The file at `path` and the rotated ones beside it. For one thread at a time.

    first_line: makes the line that a new file begins with (newline included).
    max_bytes, max_age_hours, total_quota_bytes: as in logging.json; may be changed at any time.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        first_line: Callable[[], bytes],
        *,
        max_bytes: int,
        max_age_hours: float,
        total_quota_bytes: int,
    ) -> None:
        self.path: Final = path
        self.max_bytes = max_bytes
        self.max_age_hours = max_age_hours
        self.total_quota_bytes = total_quota_bytes
        self._clock = clock
        self._first_line = first_line
        self._descriptor = -1
        self._identity: tuple[int, int] = (0, 0)
        self._size = 0
        self._created_ns = 0
        self._reopen = False

    # ---- writing -------------------------------------------------------------------------------

    def open(self) -> None:
        """Open or create the file; a last line without its end is cut off. Raises OSError."""
        if self._descriptor >= 0:
            return
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o640)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(0, "not a regular file")
            size = _cut_torn_line(descriptor, status.st_size)
            if size == 0:
                line = self._first_line()
                _write_whole(descriptor, line, 0)
                size = len(line)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._identity = (status.st_dev, status.st_ino)
        self._size = size
        self._created_ns = _birth_ns(self.path, self._clock.realtime_ns())

    def append(self, lines: bytes | bytearray) -> None:
        """Append whole lines, all of them or (OSError) none; the next call tries anew."""
        try:
            if self._descriptor >= 0 and not self._is_current():
                self.close()  # moved away, deleted or cut under our hands
            self.open()
            if self._wants_rotation(len(lines)):
                self.rotate()
            _write_whole(self._descriptor, lines, self._size)
            self._size += len(lines)
        except OSError:
            self.close()
            raise

    def tick(self) -> None:
        """Rotate by age, keep the quota, reopen when asked. Raises OSError."""
        if self._reopen:
            self._reopen = False
            self.close()
            self.open()
        if self._descriptor >= 0 and self._wants_rotation(0):
            try:
                self.rotate()
            except OSError:
                self.close()
                raise

    def rotate(self) -> None:
        """Rename the file, begin a new one, delete the oldest beyond the quota. Raises OSError."""
        self.close()
        moment = datetime.fromtimestamp(self._clock.realtime_ns() / 1e9, timezone.utc)
        stamp = moment.strftime("%Y%m%dT%H%M%S")
        taken = {path.name for path in self.rotated()}
        number = 0
        while (name := f"{self.path.name}.{stamp}-{number:04}") in taken:
            number += 1
        with suppress(FileNotFoundError):
            self.path.rename(self.path.with_name(name))
        self.open()
        self._keep_quota()

    def ask_reopen(self) -> None:
        """At the next tick let go of the file and open what is at its path; from any thread."""
        self._reopen = True

    def close(self) -> None:
        """Let go of the file; the next append opens it again (after a rotation by others)."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def rotated(self) -> list[Path]:
        """Rotated files, oldest first."""
        return log_files.rotated(self.path)

    def _is_current(self) -> bool:
        try:
            status = self.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        same = (status.st_dev, status.st_ino) == self._identity
        return same and status.st_size == self._size

    def _wants_rotation(self, more: int) -> bool:
        if self._size + more > self.max_bytes and self._size > _SMALL:
            return True
        age_ns = self._clock.realtime_ns() - self._created_ns
        return age_ns > self.max_age_hours * 3600e9 and self._size > _SMALL

    def _keep_quota(self) -> None:
        sizes = []
        for path in self.rotated():
            with suppress(FileNotFoundError):
                sizes.append((path, path.stat().st_size))
        # What the file in use may grow to is reserved.
        excess = sum(size for _, size in sizes) + self.max_bytes - self.total_quota_bytes
        for path, size in sizes:
            if excess <= 0:
                break
            with suppress(FileNotFoundError):
                path.unlink()
            excess -= size

    # ---- reading back --------------------------------------------------------------------------

    def lines_from_end(self) -> Iterator[bytes]:
        """The whole lines of all files, the newest first, without their ends."""
        others = log_files.moved_by_others(self.path)
        for path in (self.path, *reversed(self.rotated()), *reversed(others)):
            with suppress(FileNotFoundError):
                yield from _lines_from_end(path)


_SMALL: Final = 1024
"""A file with hardly more than its first line is not worth a rotation."""


def _write_whole(descriptor: int, data: bytes | bytearray, size: int) -> None:
    """Append all of `data` to a file of `size` bytes; on an error the file is as it was."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def _cut_torn_line(descriptor: int, size: int) -> int:
    """Truncate the file behind its last line end; returns its size then."""
    end = size
    while end > 0:
        start = max(0, end - _CHUNK)
        chunk = os.pread(descriptor, end - start, start)
        position = chunk.rfind(b"\n")
        if position >= 0:
            end = start + position + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
    return end


def _lines_from_end(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        rest = b""
        first = True
        while end > 0:
            start = max(0, end - _CHUNK)
            file.seek(start)
            parts = (file.read(end - start) + rest).split(b"\n")
            rest, end = parts[0], start
            # Behind the last line end there is nothing, or a torn line.
            whole = parts[1:-1] if first else parts[1:]
            if first and len(parts) > 1:
                first = False
            elif first:
                whole = []
            yield from reversed(whole)
            if len(rest) > _MAX_LINE:
                return  # not one of our lines
        if rest and not first:
            yield rest


def _birth_ns(path: Path, now_ns: int) -> int:
    """When the file was begun: the time in its first line, else now."""
    try:
        with path.open("rb") as file:
            line = file.readline(4096).decode("utf-8", "replace")
        text = line.split('"@timestamp":"', 1)[1].split('"', 1)[0]
        return realtime_ns(text)
    except (OSError, ValueError, IndexError):
        return now_ns
