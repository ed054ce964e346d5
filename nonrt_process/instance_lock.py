"""The lock that makes a process the only Non-RT process of its instance; the kernel frees it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.core import ERROR_BYTES, error_buffer, lib, to_text
from shared.startup import EX_TEMPFAIL, Refused, ensure_directory, run_directory_mode

TIMEOUT_MS: Final = 1000


class InstanceLock:
    """Held from the constructor to `release`."""

    def __init__(self, run_dir: Path, instance: str, timeout_ms: int = TIMEOUT_MS) -> None:
        """Raises Refused: another one holds it, or the folder cannot be used."""
        ensure_directory(run_dir, "the lock and endpoints files", run_directory_mode(run_dir))
        self.path: Final = run_dir / f"{instance}.nonrt.lock"
        error = error_buffer()
        self._descriptor = int(lib.mxrc_lock_file(bytes(self.path), timeout_ms, error, ERROR_BYTES))
        if self._descriptor < 0:
            raise Refused(
                f"{to_text(error)}: another Non-RT process serves instance {instance}: "
                "stop it, or give this one a name of its own (--instance)",
                EX_TEMPFAIL,
            )

    def release(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            lib.mxrc_unlock_file(self._descriptor)
            self._descriptor = -1
