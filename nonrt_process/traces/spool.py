"""What is to be exported, on disk: a bounded queue of encoded requests that survives kill -9.

Every request is appended here before the reader of the rings moves on, and forgotten when the
receiver has answered: a slow or absent receiver and a crash of this process cost nothing within
the quota.
A folder of files of frames (frames.py), in the order of their numbers; `position` says how far
they are delivered. Nothing is fsynced: a power failure may cost the last seconds.

A frame carries a mark: how far the rings had been read with it. After a crash the reader
of the rings asks for the last one and leaves out what is here already, so that only the request in
flight repeats.

While the folder cannot be written (a full disk) requests wait in memory, within a bound.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import threading
import zlib
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from nonrt_process.traces import frames

QUOTA_BYTES: Final = 256 << 20
FILE_BYTES: Final = 4 << 20
MEMORY_BYTES: Final = 32 << 20
REQUEST_BYTES: Final = 4 << 20
_POSITION: Final = struct.Struct("<QQ")
_CRC: Final = struct.Struct("<I")
_SUFFIX: Final = ".spans"


class Taken(NamedTuple):
    """A request to be delivered. spans: how many it holds, by number of the file they are in."""

    body: bytes
    spans: dict[int, int]
    number: int
    offset: int

    @property
    def total(self) -> int:
        """Spans in it."""
        return sum(self.spans.values())


@dataclass
class _File:
    number: int
    descriptor: int
    size: int
    spans: int


_MEMORY: Final = -1


class Spool:
    """One writer (append), one reader (take, acknowledge), each in its own thread.

    folder: None: in memory only. quota_bytes: of the files; above it the oldest goes, counted.
    """

    def __init__(
        self, folder: Path | None, log: logging.Logger, *, quota_bytes: int = QUOTA_BYTES
    ) -> None:
        self._folder = folder
        self._log = log
        self._quota = quota_bytes
        self._file_bytes = max(4096, min(FILE_BYTES, quota_bytes // 8))
        self._condition = threading.Condition()
        self._files: deque[_File] = deque()
        self._next_number = 1
        self._delivered = (0, 0)
        self._position = -1
        self._lock = -1
        self._memory: deque[tuple[bytes, int]] = deque()
        self._memory_first = 0
        self._memory_bytes = 0
        self._in_flight: dict[int, int] = {}
        self._held = 0
        """Of those in flight, the spans that the quota has taken away here meanwhile."""
        self._problem = ""
        self._closed = False
        self.last_mark = b""
        """Of the newest frame."""
        self.dropped = 0
        """Spans given up because the quota was reached."""
        self.damaged = 0
        """Files that ended in the middle of a frame, or with a wrong CRC."""
        self.discard = False
        """True: nothing is exported, so nothing is kept."""

    # ---- life ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Go on with what is in the folder; without a usable folder in memory, and say so."""
        if self._folder is None or self.discard:
            return
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = _open(self._folder / "lock", os.O_RDWR | os.O_CREAT)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._position = _open(self._folder / "position", os.O_RDWR | os.O_CREAT)
            self._delivered = self._read_position()
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                self._scan(path)
            self._new_file()
            self._remove_delivered()
        except BlockingIOError:
            self._give_up_folder("another process uses it")
        except (OSError, ValueError) as error:
            self._give_up_folder(str(error))

    def close(self) -> None:
        """Nobody waits in `wait` any longer; what is left stays for the next process."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            for file in self._files:
                os.close(file.descriptor)
            self._files.clear()
            for descriptor in (self._position, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)
            self._position = self._lock = -1

    # ---- figures -------------------------------------------------------------------------------

    def pending(self) -> int:
        """Spans that wait or are under way."""
        waiting = sum(file.spans for file in tuple(self._files))
        return waiting + sum(spans for _, spans in tuple(self._memory)) + self._held

    def size_bytes(self) -> int:
        """Bytes of the files and of what waits in memory."""
        return sum(file.size for file in tuple(self._files)) + self._memory_bytes

    @property
    def durable(self) -> bool:
        """Whether what is appended survives this process."""
        return bool(self._files) and not self._memory

    # ---- writing -------------------------------------------------------------------------------

    def append(self, body: bytes, spans: int, mark: bytes = b"") -> None:
        """Keep an ExportTraceServiceRequest. When this returns it survives the process."""
        if self.discard:
            return
        with self._condition:
            if self._closed:
                self.dropped += spans
                return
            if mark:
                self.last_mark = mark
            # What waits in memory is older: behind it, or the order would be lost.
            if self._memory or not self._files or not self._write(body, spans, mark):
                self._remember(body, spans)
            self._condition.notify_all()

    def _write(self, body: bytes, spans: int, mark: bytes) -> bool:
        frame = frames.pack(body, spans, mark)
        try:
            if self._files[-1].size >= self._file_bytes:
                self._new_file()
            file = self._files[-1]
            try:
                _write_all(file.descriptor, frame, file.size)
            except OSError:
                os.ftruncate(file.descriptor, file.size)
                raise
        except OSError as error:
            self._say(f"Spans wait in memory: {self._folder}: {error.strerror or error}")
            return False
        file.size += len(frame)
        file.spans += spans
        self._say("")
        while len(self._files) > 1 and sum(one.size for one in self._files) > self._quota:
            self._drop_oldest()
        return True

    def _remember(self, body: bytes, spans: int) -> None:
        self._memory.append((body, spans))
        self._memory_bytes += len(body)
        while self._memory_bytes > MEMORY_BYTES and len(self._memory) > 1:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        body, spans = self._memory.popleft()
        self._memory_bytes -= len(body)
        held = min(spans, self._in_flight.get(_MEMORY, 0))  # the exporter still holds them
        if held:
            self._in_flight[_MEMORY] -= held
            self._held += held
        self.dropped += spans - held
        self._memory_first += 1

    def _new_file(self) -> None:
        """Begin a file. It begins with the mark, which outlives the file before it."""
        assert self._folder is not None
        number = self._next_number
        descriptor = _open(self._path(number), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            frame = frames.pack(b"", 0, self.last_mark)
            _write_all(descriptor, frame, 0)
        except OSError:
            os.close(descriptor)
            with suppress(OSError):
                self._path(number).unlink()
            raise
        self._next_number += 1
        self._files.append(_File(number, descriptor, len(frame), 0))

    def _drop_oldest(self) -> None:
        file = self._files.popleft()
        held = self._in_flight.get(file.number, 0)
        self.dropped += file.spans - held
        self._held += held
        self._remove(file)

    # ---- reading -------------------------------------------------------------------------------

    def wait(self, timeout_s: float) -> bool:
        """Whether there is something to deliver, now or within the time."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self.pending() > 0, timeout_s)
            return not self._closed and self.pending() > 0

    def take(self, limit: int) -> Taken | None:
        """The oldest request: frames of up to `limit` spans together, at least one; None: empty.

        Give each to `acknowledge` before the next one is taken. It stays whole in the hands of who
        took it, even when the quota takes its file away meanwhile.
        """
        with self._condition:
            number, offset = self._delivered
            bodies: list[bytes] = []
            spans: dict[int, int] = {}
            total = size = 0
            for file in tuple(self._files):
                if file.number < number:
                    continue
                if file.number > number:
                    number, offset = file.number, 0
                while offset < file.size:
                    frame = self._read(file, offset, spans.get(file.number, 0))
                    if frame is None:
                        break
                    size += len(frame.body)
                    if bodies and (total + frame.spans > limit or size > REQUEST_BYTES):
                        return self._taken(bodies, spans, number, offset)
                    offset = frame.end
                    if frame.spans:
                        bodies.append(frame.body)
                        spans[file.number] = spans.get(file.number, 0) + frame.spans
                        total += frame.spans
            if bodies:
                return self._taken(bodies, spans, number, offset)
            for at, (body, count) in enumerate(tuple(self._memory)):
                size += len(body)
                if bodies and (total + count > limit or size > REQUEST_BYTES):
                    break
                bodies.append(body)
                total += count
                spans[_MEMORY] = total
                offset = self._memory_first + at + 1
            return self._taken(bodies, spans, _MEMORY, offset) if bodies else None

    def acknowledge(self, taken: Taken) -> None:
        """It is delivered, or refused for good: forget it."""
        with self._condition:
            self._in_flight = {}
            self._held = 0
            if self._closed:
                return
            if taken.number == _MEMORY:
                while self._memory and self._memory_first < taken.offset:
                    self._memory_bytes -= len(self._memory.popleft()[0])
                    self._memory_first += 1
                return
            self._delivered = (taken.number, taken.offset)
            for file in self._files:
                file.spans -= taken.spans.get(file.number, 0)
            try:
                self._write_position()
                if not self._files[-1].spans and self._files[-1].size > self._file_bytes // 4:
                    self._new_file()
            except OSError as error:
                self._say(f"{self._folder}: {error.strerror or error}")
            self._remove_delivered()

    def _remove_delivered(self) -> None:
        while len(self._files) > 1 and not self._files[0].spans:
            self._remove(self._files.popleft())

    def _taken(self, bodies: list[bytes], spans: dict[int, int], number: int, at: int) -> Taken:
        self._in_flight = dict(spans)
        self._held = 0
        return Taken(b"".join(bodies), spans, number, at)

    def _read(self, file: _File, offset: int, before: int) -> frames.Frame | None:
        """A frame that was whole when it was written; None: the rest of the file is lost.

        before: spans of the file that were read ahead of it and are still to be delivered.
        """
        try:
            frame = frames.read(file.descriptor, offset)
        except OSError:
            frame = None
        if frame is None:
            self.damaged += 1
            self.dropped += file.spans - before
            self._log.error(
                "%s is damaged at byte %d: %d spans behind it are lost",
                self._path(file.number),
                offset,
                file.spans - before,
            )
            file.spans, file.size = before, offset
        return frame

    # ---- files ---------------------------------------------------------------------------------

    def _scan(self, path: Path) -> None:
        """Take up a file of an earlier process: its whole frames."""
        number = int(path.name.removesuffix(_SUFFIX))
        self._next_number = max(self._next_number, number + 1)
        descriptor = _open(path, os.O_RDWR)
        end = os.fstat(descriptor).st_size
        offset = spans = 0
        while offset < end and (frame := frames.read(descriptor, offset)) is not None:
            if (number, offset) >= self._delivered:
                spans += frame.spans
            if frame.mark:
                self.last_mark = frame.mark
            offset = frame.end
        if offset < end:
            self.damaged += 1
            self._log.warning(
                "%s: its last %d bytes are no whole request (the process ended while it wrote) "
                "and are left out",
                path,
                end - offset,
            )
        self._files.append(_File(number, descriptor, offset, spans))

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:012d}{_SUFFIX}"

    def _remove(self, file: _File) -> None:
        os.close(file.descriptor)
        with suppress(OSError):
            self._path(file.number).unlink()

    def _read_position(self) -> tuple[int, int]:
        raw = os.pread(self._position, _POSITION.size + _CRC.size, 0)
        if len(raw) < _POSITION.size + _CRC.size:
            return (0, 0)
        content = raw[: _POSITION.size]
        if _CRC.unpack(raw[_POSITION.size :])[0] != zlib.crc32(content):
            return (0, 0)  # more may repeat, nothing is lost
        number, offset = _POSITION.unpack(content)
        return number, offset

    def _write_position(self) -> None:
        content = _POSITION.pack(*self._delivered)
        _write_all(self._position, content + _CRC.pack(zlib.crc32(content)), 0)

    def _give_up_folder(self, reason: str) -> None:
        for file in self._files:
            os.close(file.descriptor)
        self._files.clear()
        self._say(f"Spans are kept in memory only: {self._folder}: {reason}")

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            if problem:
                self._log.warning("%s", problem)
            else:
                self._log.info("Spans are kept on disk again")


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o640)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
