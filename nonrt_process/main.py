"""`mxrc-nonrt`: the first beat, then everything else."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from nonrt_process.first_beats import FirstBeats, told_instance
from shared.signals import block_signals

NICE: Final = -10


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 78 for a configuration that cannot work."""
    block_signals()
    _prefer()
    # Nothing here multiplies matrices; making OpenBLAS's threads is a third of the import of numpy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = sys.argv[1:] if arguments is None else arguments
    beats = FirstBeats(told_instance(arguments, os.environ))
    beats.start()
    try:
        from nonrt_process.process import run

        status = run(arguments, beats.stop)
    finally:
        beats.stop()
    if threading.active_count() > 1:
        _leave(status)
    return status


def _prefer() -> None:
    """Ahead of ordinary programs, where that is permitted; every thread made later inherits it.

    The heart needs the interpreter's lock, and whoever holds it needs a CPU to let go of it: so it
    is the whole process and not the heart's thread alone. On an overloaded machine RT would enter
    SAFE_MODE for a heartbeat that is only late. Real-time threads are not concerned.
    """
    with suppress(OSError):
        if os.getpriority(os.PRIO_PROCESS, 0) > NICE:
            os.setpriority(os.PRIO_PROCESS, 0, NICE)


def _leave(status: int) -> None:
    """End without the interpreter's clean-up.

    Everything is closed, but a consumer did not end in time. The interpreter would end its thread
    inside whatever library that is in, and C++ answers this with abort().
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
