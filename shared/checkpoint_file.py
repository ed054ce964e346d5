"""Checkpoint files: written whole or not at all, and never believed without proof.

Writing: a temporary file in the same folder, fsync, rename, fsync of the folder. A file whose fsync
failed is removed, since what the disk has of it is unknown. Reading: name, kind of file, size,
JSON, checksum, process and instance; what fails is skipped with an error that names the file.

Needs neither numpy nor the segment: the RT process reads checkpoints before it has one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
"""Version of the document; a file of a later one is skipped."""
MAX_BYTES: Final = 16 << 20
CHECKSUM_FIELD: Final = "checksum"
SIZE_FIELD: Final = "checkpoint_size_bytes"
REQUIRED: Final = frozenset(
    {
        "checkpoint_id", "format", "process_name", "instance", "timestamp", "rt_state",
        "datastore_snapshot", "eventbus_queue_snapshot", SIZE_FIELD, "is_complete", "file_path",
        CHECKSUM_FIELD,
    }
)  # fmt: skip

_NAME = re.compile(r"(?P<process>[a-z_]+)_(?P<stamp>\d{14})(?:_(?P<number>\d{3,}))?\.json")
_TEMPORARY = re.compile(r"\.[a-z_]+_\d{14}(_\d+)?\.json\.\d+\.tmp")


class CheckpointError(Exception):
    """A file is no checkpoint to go on from; `str()` names the file and the reason."""


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A whole checkpoint on disk. order: sorts by age, also within a second."""

    path: Path
    checkpoint_id: str
    timestamp: datetime
    size_bytes: int
    document: Mapping[str, Any]

    @property
    def order(self) -> tuple[str, int]:
        return name_order(self.path.name)


def name_order(name: str) -> tuple[str, int]:
    """Sort key of a file name: the time in it, and the number that makes it unique in a second."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is not the name of a checkpoint")
    return match["stamp"], int(match["number"] or 0)


def is_checkpoint_name(name: str, process: str) -> bool:
    """Whether `name` is what a checkpoint of `process` is called."""
    match = _NAME.fullmatch(name)
    return match is not None and match["process"] == process


# ---- writing ----------------------------------------------------------------------------------


def write_checkpoint(
    directory: Path, process: str, content: Mapping[str, Any], now: datetime
) -> CheckpointFile:
    """Write a checkpoint of `process` and return it once it is on disk.

    content: instance, rt_state, datastore_snapshot, eventbus_queue_snapshot; JSON values. The rest
    is added here. now: an aware datetime.

    Raises:
        OSError: it is not there, and what was there before still is.
    """
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Two writers of one folder (two instances) must not choose the same name.
        fcntl.flock(folder, fcntl.LOCK_EX)
        path = _free_name(directory, process, now)
        document = {
            "checkpoint_id": str(uuid.uuid4()),
            "format": FORMAT,
            "process_name": process,
            "timestamp": now.astimezone(timezone.utc).isoformat(timespec="microseconds"),
            **content,
            "file_path": str(path),
            "is_complete": True,
        }
        data = seal(document)
        temporary = directory / f".{path.name}.{os.getpid()}.tmp"
        try:
            _write_durably(temporary, data)
            temporary.rename(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        try:
            os.fsync(folder)
        except OSError:
            # Whether the name survives a power loss is unknown: better none than a doubtful one.
            with suppress(OSError):
                path.unlink()
            raise
    finally:
        # It was open for reading: what was written is on disk, whatever close says.
        with suppress(OSError):
            os.close(folder)
    return _described(path, json.loads(data), len(data))


def seal(document: Mapping[str, Any]) -> bytes:
    """The bytes of a checkpoint file: `document` with its size and its checksum."""
    sealed = {key: document[key] for key in document if key not in (SIZE_FIELD, CHECKSUM_FIELD)}
    sealed[SIZE_FIELD] = 0
    sealed[CHECKSUM_FIELD] = checksum(sealed)
    data = _bytes(sealed)
    while sealed[SIZE_FIELD] != len(data):  # the digits of the size count, too
        sealed[SIZE_FIELD] = len(data)
        sealed[CHECKSUM_FIELD] = checksum(sealed)
        data = _bytes(sealed)
    return data


def checksum(document: Mapping[str, Any]) -> str:
    """`sha256:` and the digest of the document without its checksum, keys sorted."""
    plain = {key: value for key, value in document.items() if key != CHECKSUM_FIELD}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _bytes(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _free_name(directory: Path, process: str, now: datetime) -> Path:
    stamp = now.astimezone(timezone.utc).strftime("%Y%m%d%H%M%S")
    numbers = [
        name_order(path.name)[1]
        for path in directory.glob(f"{process}_{stamp}*.json")
        if is_checkpoint_name(path.name, process)
    ]
    number = max(numbers) + 1 if numbers else 0
    return directory / f"{process}_{stamp}{f'_{number:03}' if number else ''}.json"


def _write_durably(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o640)
    try:
        view = memoryview(data)
        while view:
            written = os.write(descriptor, view)
            if written == 0:
                raise OSError(errno.EIO, "nothing written", str(path))
            view = view[written:]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- reading ----------------------------------------------------------------------------------


def load_checkpoint(path: Path, process: str, instance: str) -> CheckpointFile:
    """Read and verify one file.

    Raises:
        CheckpointError: missing, torn, tampered with, foreign, of a later version or unreadable.
    """
    if not is_checkpoint_name(path.name, process):
        raise CheckpointError(f"{path}: not the name of a checkpoint of {process}")
    data = _read(path)
    try:
        document = json.loads(data, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not whole, or no JSON: {error}") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path}: not a checkpoint: no JSON object")
    version = document.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise CheckpointError(f"{path}: format {version}, this version reads up to {FORMAT}")
    missing = sorted(REQUIRED - document.keys())
    if missing:
        raise CheckpointError(f"{path}: not a checkpoint: {', '.join(missing)} missing")
    found = document[CHECKSUM_FIELD]
    expected = _checksum_of(document)
    if found != expected:
        raise CheckpointError(
            f"{path}: changed since it was written: checksum {found!r:.90}, content has {expected}"
        )
    if document[SIZE_FIELD] != len(data):
        raise CheckpointError(
            f"{path}: {len(data)} bytes, written with {document[SIZE_FIELD]!r:.40}"
        )
    if document["is_complete"] is not True or version != FORMAT:
        raise CheckpointError(f"{path}: not complete")
    for field, wanted in (("process_name", process), ("instance", instance)):
        if document[field] != wanted:
            raise CheckpointError(
                f"{path}: of another {field.partition('_')[0]}: {document[field]!r:.80}, "
                f"here it is {wanted!r}"
            )
    try:
        return _described(path, document, len(data))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint: {error}") from None


def load_newest(
    directory: Path, process: str, instance: str, report: Callable[[str], None]
) -> CheckpointFile | None:
    """The newest good checkpoint; each one that had to be skipped on the way is reported."""
    return next(iter(load_all(directory, process, instance, report)), None)


def load_all(
    directory: Path, process: str, instance: str, report: Callable[[str], None]
) -> Iterable[CheckpointFile]:
    """Good checkpoints, newest first, read as they are asked for; bad ones are reported.

    Files whose name is not one of a checkpoint of `process` are not looked at.
    """
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return
    except OSError as error:
        report(f"{directory}: cannot be read: {error.strerror}")
        return
    chosen = [name for name in names if is_checkpoint_name(name, process)]
    for name in sorted(chosen, key=name_order, reverse=True):
        try:
            yield load_checkpoint(directory / name, process, instance)
        except CheckpointError as error:
            report(str(error))


def remove_leftovers(directory: Path) -> int:
    """Delete temporary files of writers that died in the middle; returns how many."""
    removed = 0
    with suppress(OSError):
        for path in directory.iterdir():
            if _TEMPORARY.fullmatch(path.name) and not _alive(int(path.name.split(".")[-2])):
                with suppress(OSError):
                    path.unlink()
                    removed += 1
    return removed


def _alive(pid: int) -> bool:
    return pid != os.getpid() and Path(f"/proc/{pid}").exists()


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise CheckpointError(f"{path}: cannot be read: {reason}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path}: not a regular file")
        if not 0 < status.st_size <= MAX_BYTES:
            raise CheckpointError(f"{path}: {status.st_size} bytes: no checkpoint")
        parts = []
        while part := os.read(descriptor, 1 << 20):
            parts.append(part)
            if sum(map(len, parts)) > MAX_BYTES:
                raise CheckpointError(f"{path}: grows while it is read: no checkpoint")
        return b"".join(parts)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _checksum_of(document: Mapping[str, Any]) -> str:
    try:
        return checksum(document)
    except (ValueError, RecursionError) as error:
        return f"none ({error})"


def _no_constants(text: str) -> Any:
    raise ValueError(f"{text} is not allowed")


def _described(path: Path, document: Mapping[str, Any], size: int) -> CheckpointFile:
    timestamp = datetime.fromisoformat(document["timestamp"])
    if timestamp.tzinfo is None:
        raise ValueError("timestamp without a time zone")
    return CheckpointFile(path, str(document["checkpoint_id"]), timestamp, size, document)
