"""The beats before the heart: from some ms after exec until the heart has been imported.

RT enters SAFE_MODE when nothing has beaten for 500 ms, and a killed process has to be noticed and
started again within that time. So this stands on the core alone: on a busy machine argparse,
logging and shared.segment take longer to import than everything else until the first beat.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.core import ERROR_BYTES, error_buffer, ffi, lib

BEAT_S: Final = 0.02
OPTIONS_WITH_VALUE: Final = (
    "--instance",
    "--config-dir",
    "--config",
    "--numa-config",
    "--failover-config",
    "--tracing-config",
)
NAME_CHARACTERS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)


class FirstBeats:
    """Beats for the segment of an instance that has no living Non-RT process; else does nothing."""

    def __init__(self, instance: str | None) -> None:
        """instance: None when its name is not known this early."""
        self._instance = instance
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="first beats", daemon=True)
        self._segment: Any = None

    def start(self) -> None:
        """Beat at once, then in a thread. Never raises for what is wrong with the segment."""
        if self._instance is None:
            return
        segment = ffi.new("struct mxrc_segment *")
        name = f"/mxrc-{self._instance}".encode()
        access = lib.MXRC_ACCESS_NONRT
        if lib.mxrc_segment_attach(segment, name, access, error_buffer(), ERROR_BYTES):
            return  # The heart says what is wrong, and waits for it to change.
        self._segment = segment
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Returns when it beats no more; to be called once the heart beats, or at the end."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._segment is not None:
            lib.mxrc_segment_detach(self._segment)
            self._segment = None

    def _run(self) -> None:
        while not self._ending.wait(BEAT_S):
            self._beat()

    def _beat(self) -> None:
        region = lib.mxrc_region(self._segment, lib.MXRC_REGION_NONRT_STATUS, ffi.NULL)
        # One aligned 64-bit store; it publishes nothing but itself.
        ffi.cast("struct mxrc_nonrt_status *", region).heartbeat_ns = lib.mxrc_now_ns()


def told_instance(arguments: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """The instance, where command line or environment name it plainly; None where not.

    None also for a process that will not serve: --help, --version, an option that nobody knows.
    """
    name = environ.get("MXRC_INSTANCE__INSTANCE", "")
    if name[:1] == name[-1:] == '"':
        name = name[1:-1]
    rest = list(arguments)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if option == "--system" and not equals:
            continue
        if option not in OPTIONS_WITH_VALUE or not (equals or rest):
            return None
        if not equals:
            value = rest.pop(0)
        if option == "--instance":
            name = value
    plain = name not in ("", "null") and not set(name) - NAME_CHARACTERS
    return name if plain else None
