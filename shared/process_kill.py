"""Ending a process that is known by pid and start time, and no other one that has got its pid."""

from __future__ import annotations

import os
import signal

from shared.core import lib


def kill_process(pid: int, process_start: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to that very process; False when it is gone (or its pid is another's by now).

    process_start: field 22 of /proc/PID/stat.

    Raises:
        PermissionError: it is another user's.
    """
    if pid <= 0 or process_start <= 0:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # Read while the descriptor is held: what it names cannot become another process any more.
        if int(lib.mxrc_process_start(pid)) != process_start:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
