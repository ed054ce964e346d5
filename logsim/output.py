"""Where the lines go: a file with rotation, or a stream. Whole records, never a part of one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

# A write is at most about this large when nothing waits for the lines; one system call moves many.
BUFFER_BYTES = 128 * 1024
MODE = 0o640


class OutputError(Exception):
    """The output could not be written; the text says what, where and how much of it is missing."""


class ClosedPipe(Exception):
    """The reader at the other end of the pipe has gone."""


class Output(Protocol):
    """Takes records as ASCII text. `part` counts the rotations so far."""

    part: int

    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class StreamOutput:
    """Writes to a file descriptor, standard output as a rule. Not closed: it is somebody else's."""

    def __init__(self, fd: int, name: str) -> None:
        self.part = 0
        self._fd = fd
        self._name = name
        self._pending: list[str] = []
        self._bytes = 0

    def write(self, text: str) -> None:
        self._pending.append(text)
        self._bytes += len(text)
        if self._bytes >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._pending:
            return
        data = memoryview("".join(self._pending).encode("ascii"))
        # Cleared first: after an error nothing is written twice.
        self._pending.clear()
        self._bytes = 0
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except BrokenPipeError as error:
            raise ClosedPipe from error
        except OSError as error:
            lost = bytes(data).count(b"\n")
            raise OutputError(
                f"cannot write {self._name}: {error.strerror}; "
                f"{lost} lines already made are not in it"
            ) from error

    def close(self) -> None:
        self.flush()


class FileOutput(StreamOutput):
    """Appends to a file and rotates it between records: FILE, FILE.1 (newest) ... FILE.n (oldest).

    rotate_bytes 0: never; keep 0: keep every rotated file. A last line without line end, left by a
    writer that was killed, is ended before anything is added.
    """

    def __init__(
        self, path: Path, *, overwrite: bool = False, rotate_bytes: int = 0, keep: int = 5
    ) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        super().__init__(self._open(truncate=overwrite), str(path))
        self._size = os.fstat(self._fd).st_size
        self._reopen = False

    def request_reopen(self) -> None:
        """Open the file anew before the next write: another program has moved it away."""
        self._reopen = True

    def write(self, text: str) -> None:
        if self._rotate_bytes and self._size and self._size + len(text) > self._rotate_bytes:
            self._rotate()
        size = len(text)
        self._size += size
        self._pending.append(text)
        self._bytes += size
        if self._bytes >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        super().flush()
        if self._reopen:
            self._reopen = False
            os.close(self._fd)
            self._fd = self._open()
            self._size = os.fstat(self._fd).st_size

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._fd)

    def _open(self, *, truncate: bool = False) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(self._path, flags | (os.O_TRUNC if truncate else 0), MODE)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                if self._rotate_bytes:
                    os.close(fd)
                    raise OutputError(f"cannot rotate {self._path}: it is not a regular file")
            elif self._is_torn():
                os.write(fd, b"\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        return fd

    def _is_torn(self) -> bool:
        """Whether the last line has no end; a file that may only be written counts as whole."""
        try:
            with self._path.open("rb") as file:
                if not file.seek(0, os.SEEK_END):
                    return False
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except PermissionError:
            return False

    def _rotate(self) -> None:
        self.flush()
        os.close(self._fd)
        try:
            self._shift()
        except OSError as error:
            raise OutputError(f"cannot rotate {self._path}: {error.strerror}") from error
        finally:
            self._fd = self._open()
        self._size = os.fstat(self._fd).st_size
        self.part += 1

    def _shift(self) -> None:
        number = 1
        while self._numbered(number).exists() and (not self._keep or number < self._keep):
            number += 1
        for older in range(number, 1, -1):
            self._numbered(older - 1).replace(self._numbered(older))
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
