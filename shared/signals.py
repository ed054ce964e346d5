"""Signals of the two processes: blocked from the start, taken by the main thread when it looks."""

from __future__ import annotations

import signal
import time
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
SIGNALS: Final = (*STOP_SIGNALS, signal.SIGHUP, signal.SIGUSR1)


def block_signals() -> None:
    """Before any thread is made, so that none but `wait_for_signal` ever gets one of SIGNALS."""
    for number in SIGNALS:
        # A background shell hands SIGINT down as ignored, and what is ignored is never pending.
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def wait_for_signal(seconds: float) -> int | None:
    """One of SIGNALS that is pending now or after `seconds`, else None."""
    # Never waiting in sigtimedwait: interrupted (SIGSTOP, SIGCONT are enough) when its time is up,
    # CPython returns whatever is on the stack as the signal.
    info = signal.sigtimedwait(SIGNALS, 0)
    if info is None:
        time.sleep(seconds)
        info = signal.sigtimedwait(SIGNALS, 0)
    return None if info is None else info.si_signo
