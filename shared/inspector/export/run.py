"""Writing an export: whole or not at all, and never over a file that is there unless told so."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from shared.core import MxrcError
from shared.inspector.export import csv_file, mcap_file, parquet_file, perfetto_file
from shared.inspector.export.recording import Recording, count

SUFFIXES: Final = {
    "csv": "csv",
    "parquet": "parquet",
    "mcap": "mcap",
    "perfetto": "perfetto.json",
}
ONE_TABLE: Final = ("csv", "parquet")
"""Formats of a file that holds one kind of record."""


class ExportRefused(MxrcError):
    """The file is not written; the message says why."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. lost: records overwritten while they were read."""

    path: str
    format: str
    bytes: int
    cycles: int
    events: int
    spans: int
    lost: int


def export(
    recording: Recording, kind: str, what: str, path: Path | None, *, force: bool = False
) -> Exported:
    """Write a recording; path None: to stdout.

    Raises:
        ExportRefused: the file is there, or its folder cannot be written.
        PackageMissing: the format needs a package that is not installed.
    """
    if path is None:
        with tempfile.TemporaryFile() as file:
            _writer(recording, kind, what)(file)
            size = file.tell()
            file.seek(0)
            while block := file.read(1 << 20):
                sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
    else:
        size = _into(path, _writer(recording, kind, what), force)
    counts = {name: count(recording.columns(name)) for name in ("cycles", "events", "spans")}
    if kind in ONE_TABLE:
        counts = {name: number if name == what else 0 for name, number in counts.items()}
    return Exported(str(path or "-"), kind, size, lost=recording.lost, **counts)


def _writer(recording: Recording, kind: str, what: str) -> Callable[[BinaryIO], None]:
    if kind == "csv":
        return lambda file: csv_file.write(recording, file, what)
    if kind == "parquet":
        return lambda file: parquet_file.write(recording, file, what)
    if kind == "mcap":
        return lambda file: mcap_file.write(recording, file)
    return lambda file: perfetto_file.write(recording, file)


def _into(path: Path, write: Callable[[BinaryIO], None], force: bool) -> int:
    if path.exists() and not force:
        raise ExportRefused(f"{path} exists: choose another name, or --force to replace it")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ExportRefused(f"{path} cannot be written: {error.strerror}") from None
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            size = file.tell()
        draft.chmod(0o640)
        draft.replace(path)
    except OSError as error:
        raise ExportRefused(f"{path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return size
