"""Messages to the service manager, sd_notify(3); nothing happens where there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

import sdnotify


class Notifier(Protocol):
    """Sends one message, such as "READY=1"."""

    def notify(self, state: str) -> None: ...


def system_notifier() -> Notifier:
    """The service manager that started this process."""
    notifier: Notifier = sdnotify.SystemdNotifier()
    return notifier


def watchdog_interval_ns(environ: Mapping[str, str] = os.environ) -> int | None:
    """Half of the interval that the service manager asks for; None: it does not watch us."""
    try:
        microseconds = int(environ["WATCHDOG_USEC"])
        pid = int(environ.get("WATCHDOG_PID", os.getpid()))
    except (KeyError, ValueError):
        return None
    return microseconds * 500 if microseconds > 0 and pid == os.getpid() else None
