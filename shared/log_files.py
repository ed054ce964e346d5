"""Which files are the log of a process: the one in use, and what was rotated from it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

COMPRESSED: Final = frozenset({".gz", ".xz", ".bz2", ".zst", ".lz4"})


def rotated(path: Path) -> list[Path]:
    """What mxrc itself has rotated from `path`, oldest first."""
    return sorted(path.parent.glob(f"{path.name}.2*-*"))


def moved_by_others(path: Path) -> list[Path]:
    """What logrotate or somebody else has renamed and not compressed, oldest first."""
    own = {path, *rotated(path)}
    found = []
    for other in path.parent.glob(f"{path.name}[.-]*"):
        with suppress(OSError):
            if other not in own and other.is_file() and other.suffix not in COMPRESSED:
                found.append((other.stat().st_mtime_ns, other))
    return [other for _, other in sorted(found)]


def log_files(folder: Path, process: str) -> list[Path]:
    """The log files of a process, the one in use last (it need not exist)."""
    path = folder / f"{process}.log"
    return [*moved_by_others(path), *rotated(path), path]
