"""When the RT process was restarted, kept over restarts of this process.

Without it a Non-RT process that is killed too would begin to count anew, and the restart limit
would never be reached. In run_dir, which is in memory: a disk that hangs holds up nobody who
watches. The times are of CLOCK_MONOTONIC, so those of another boot are dropped.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, Final

from nonrt_process.run_file import write_run_file
from shared.boot_id import boot_id

MAX_BYTES: Final = 65_536


class RestartRecord:
    """path: the file. One writer: the Non-RT process that holds the lock of the instance."""

    def __init__(self, path: Path, log: logging.Logger) -> None:
        self._path = path
        self._log = log

    def load(self, now_ns: int) -> list[int]:
        """Times in ns, ascending, none after now_ns; what cannot be read is said, and none."""
        try:
            descriptor = os.open(
                self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            with os.fdopen(descriptor, "rb") as file:
                content: Any = json.loads(file.read(MAX_BYTES))
            if content["boot_id"] != boot_id():
                return []
            times = sorted(int(one) for one in content["restarts_ns"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            self._log.error(
                "%s cannot be read: %r; restarts of RT are counted from zero", self._path, error
            )
            return []
        return [one for one in times if one <= now_ns]

    def save(self, restarts_ns: list[int]) -> None:
        """Replace the file as a whole; a failure is said."""
        try:
            write_run_file(self._path, {"boot_id": boot_id(), "restarts_ns": restarts_ns})
        except OSError as error:
            self._log.error(
                "%s cannot be written: %s; a restart of this process will count restarts of RT "
                "from zero",
                self._path,
                error.strerror,
            )
