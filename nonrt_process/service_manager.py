"""Messages to the service manager, sd_notify(3); nothing happens where there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping

import sdnotify


class ServiceManager:
    """READY, WATCHDOG and so on; the watchdog is fed at a quarter of its interval."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._notifier = sdnotify.SystemdNotifier()
        self._watchdog_ns = _watchdog_ns(environ)
        self._fed_ns = 0

    def ready(self) -> None:
        self._notifier.notify("READY=1")

    def reloading(self, now_ns: int) -> None:
        self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={now_ns // 1000}")

    def stopping(self) -> None:
        self._notifier.notify("STOPPING=1")

    def alive(self, now_ns: int) -> None:
        """Feed the watchdog when it is due; now_ns is CLOCK_MONOTONIC."""
        if self._watchdog_ns and now_ns - self._fed_ns >= self._watchdog_ns // 4:
            self._fed_ns = now_ns
            self._notifier.notify("WATCHDOG=1")


def _watchdog_ns(environ: Mapping[str, str]) -> int:
    """Interval within which it wants to be fed; 0: it does not watch this process."""
    try:
        microseconds = int(environ["WATCHDOG_USEC"])
        pid = int(environ.get("WATCHDOG_PID", os.getpid()))
    except (KeyError, ValueError):
        return 0
    return microseconds * 1000 if pid == os.getpid() else 0
