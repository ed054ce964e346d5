"""Ending in good order: SIGINT and SIGTERM ask the run to stop, and interrupt its sleep."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from types import FrameType

# select refuses absurd time-outs; a longer wait is made of several.
_LONGEST_WAIT_S = 3600.0


class Stop:
    """Holds whether the run shall end, and sleeps so that a signal ends the sleep.

    Handlers are installed outright: a shell starts background jobs with SIGINT ignored, and a
    generator must end on it there too. The second signal has its default effect, in case a stalled
    reader keeps the first from being heeded.
    """

    def __init__(self, on_hangup: Callable[[], None] | None = None) -> None:
        self.requested = False
        self.signal_name = ""
        self._on_hangup = on_hangup
        self._read_fd, self._write_fd = os.pipe()
        for fd in (self._read_fd, self._write_fd):
            os.set_blocking(fd, False)

    def install(self) -> None:
        """Catch the signals; to be called in the main thread."""
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        # Under nohup it stays ignored, unless it has a meaning of its own here.
        if self._on_hangup or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._hangup)

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, or until a signal arrives."""
        if self.requested or seconds <= 0:
            return
        ready, _, _ = select.select([self._read_fd], [], [], min(seconds, _LONGEST_WAIT_S))
        if ready:
            os.read(self._read_fd, 512)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.requested = True
        self.signal_name = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL)

    def _hangup(self, _number: int, _frame: FrameType | None) -> None:
        # Without a file to open anew, SIGHUP means what it means to any program: the terminal left.
        if self._on_hangup:
            self._on_hangup()
        else:
            self.requested = True
            self.signal_name = "SIGHUP"
