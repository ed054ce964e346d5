"""What the verbs of `mxrc checkpoint` do with the files of an instance."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.checkpoint_file import (
    MAX_BYTES,
    CheckpointError,
    CheckpointFile,
    is_checkpoint_name,
    load_checkpoint,
    name_order,
    seal,
    write_checkpoint,
)
from shared.cli.errors import CommandError
from shared.core import MxrcError
from shared.segment import Segment, SegmentAbsent, process_alive

PROCESS: Final = "rt_process"
NEWEST: Final = "newest"
_OF_THE_FILE: Final = (
    "checkpoint_id", "format", "process_name", "timestamp", "file_path", "is_complete",
    "checkpoint_size_bytes", "checksum",
)  # fmt: skip


class Found(NamedTuple):
    """A file in the folder: a good checkpoint, or why it is none."""

    path: Path
    file: CheckpointFile | None
    problem: str


class Difference(NamedTuple):
    """A value that two checkpoints do not share; None: it has none there."""

    path: str
    first: Any
    second: Any


class Store:
    """The checkpoints of one instance in one folder."""

    def __init__(self, directory: Path, instance: str) -> None:
        self.directory = directory
        self.instance = instance

    def all(self) -> list[Found]:
        """Newest first; of other instances, too, with that as the problem."""
        try:
            names = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            raise CommandError(
                f"{self.directory}: no such folder: nothing was written yet"
            ) from None
        except OSError as error:
            raise CommandError(f"{self.directory}: {error.strerror}") from None
        chosen = [name for name in names if is_checkpoint_name(name, PROCESS)]
        ordered = sorted(chosen, key=name_order, reverse=True)
        return [self.verify(self.directory / name) for name in ordered]

    def verify(self, path: Path) -> Found:
        """Every proof that a starting RT process asks for."""
        try:
            return Found(path, load_checkpoint(path, PROCESS, self.instance), "")
        except CheckpointError as error:
            return Found(path, None, str(error).removeprefix(f"{path}: "))

    def find(self, which: str) -> CheckpointFile:
        """A good one by path, file name, beginning of its id (at least 4 characters), or NEWEST."""
        for path in (Path(which), self.directory / which):
            if path.suffix == ".json" and path.parent.is_dir():
                found = self.verify(path)
                if found.file is not None:
                    return found.file
                if path.exists():
                    raise CommandError(f"{path}: {found.problem}")
        good = [one.file for one in self.all() if one.file is not None]
        if which == NEWEST and good:
            return good[0]
        matches = [
            file for file in good if len(which) >= 4 and file.checkpoint_id.startswith(which)
        ]
        if len(matches) == 1:
            return matches[0]
        reason = "several good checkpoints begin so" if matches else "no good checkpoint is that"
        raise CommandError(f"{which}: {reason}; see `mxrc checkpoint list`")

    def restore(self, file: CheckpointFile) -> CheckpointFile:
        """Make it the newest one, so that the next start of RT goes on from it.

        Raises:
            CommandError: a segment is there, whose state counts before any checkpoint.
        """
        self._refuse_segment()
        newest = next((one.file for one in self.all() if one.file is not None), file)
        now = max(datetime.now(timezone.utc), newest.timestamp + timedelta(seconds=1))
        content = {key: value for key, value in file.document.items() if key not in _OF_THE_FILE}
        content["restored_from"] = file.checkpoint_id
        try:
            return write_checkpoint(self.directory, PROCESS, content, now)
        except OSError as error:
            raise CommandError(f"{self.directory}: {error.strerror}") from None

    def _refuse_segment(self) -> None:
        try:
            segment = Segment.attach(self.instance)
        except SegmentAbsent:
            return
        except MxrcError as error:
            raise CommandError(f"{error}; remove it with `mxrc shm clean`") from None
        with segment:
            members = [segment.member_struct(index) for index in range(segment.max_members)]
            alive = [
                int(one.pid)
                for one in members
                if process_alive(int(one.pid), int(one.process_start))
            ]
        if alive:
            raise CommandError(
                f"RT process {alive[0]} runs: stop it first (`mxrc rt stop`); only a start reads "
                "checkpoints"
            )
        raise CommandError(
            "the segment of the last run is there, and its state is newer than any checkpoint: "
            "remove it with `mxrc shm clean`, then restore"
        )


def seal_file(path: Path) -> None:
    """Give a hand-edited file its size and checksum. Raises CommandError."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise CommandError(f"{path}: not a regular file of at most {MAX_BYTES} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise CommandError(f"{path}: no JSON object")
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            if os.geteuid() == 0:
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            file.write(seal(document))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{path}: no JSON: {error}") from None


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """What differs, without what describes the files themselves."""
    a = dict(_flat({key: value for key, value in first.items() if key not in _OF_THE_FILE}))
    b = dict(_flat({key: value for key, value in second.items() if key not in _OF_THE_FILE}))
    return [
        Difference(path, a.get(path), b.get(path))
        for path in sorted(a.keys() | b.keys())
        if a.get(path) != b.get(path)
    ]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{index}]")
    else:
        yield path, value
