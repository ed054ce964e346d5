"""Health of one log file: says once what is wrong and once that it is over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, ProcessName


class FileHealth:
    """A HealthCheck. `failed` and `worked` come from the writer, `check` from any thread.

    say: takes one line for a person, when the state changes.
    """

    process: Final[ProcessName] = "non_rt_process"

    def __init__(self, name: str, path: Path, say: Callable[[str], None]) -> None:
        self.name: Final = name
        self._path = path
        self._say = say
        self._problem = ""

    def failed(self, error: OSError) -> None:
        """The file could not be opened or written."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        problem = (
            f"log file {self._path} cannot be written: {reason}; make room, or give its folder "
            "to the user that runs mxrc (instance.json: log_dir)"
        )
        if problem != self._problem:
            self._problem = problem
            self._say(f"{problem}. Lines wait as long as there is room for them")

    def worked(self) -> None:
        """A write went well."""
        if self._problem:
            self._problem = ""
            self._say(f"log file {self._path} is written again")

    def check(self, now_ns: int) -> Finding:
        problem = self._problem
        return Finding(HealthStatus.DEGRADED, problem) if problem else HEALTHY
