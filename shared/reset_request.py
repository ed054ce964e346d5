"""`mxrc reset` on its way to `mxrc up`: a file in the run folder whose change is the request."""

from __future__ import annotations

import os
from pathlib import Path


def reset_path(run_dir: Path, instance: str) -> Path:
    """The file of an instance; empty."""
    return run_dir / f"{instance}.reset"


def request_reset(run_dir: Path, instance: str) -> None:
    """Ask whoever supervises the instance to count restarts from zero. Raises OSError."""
    path = reset_path(run_dir, instance)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    os.close(os.open(path, flags, 0o640))
    os.utime(path)


class ResetWatch:
    """Sees the requests that come after it was made."""

    def __init__(self, run_dir: Path, instance: str) -> None:
        self._path = reset_path(run_dir, instance)
        self._seen_ns = self._time_ns()

    def requested(self) -> bool:
        """Whether there is a new one since the last call."""
        time_ns = self._time_ns()
        if time_ns == self._seen_ns:
            return False
        self._seen_ns = time_ns
        return time_ns != 0

    def _time_ns(self) -> int:
        try:
            return self._path.lstat().st_mtime_ns
        except OSError:
            return 0
