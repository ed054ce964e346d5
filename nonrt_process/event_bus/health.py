"""Health of the bus: do the observers keep up, and does each call come to an end."""

from __future__ import annotations

from typing import Final

from nonrt_process.event_bus.bus import Bus
from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, ProcessName

LOSS_WINDOW_NS: Final = 60_000_000_000
LONG_CALL_S: Final = 30.0


class BusCheck:
    """HealthCheck: DEGRADED for a minute after an observer lost events, and while one is stuck."""

    name: Final = "event_bus"
    process: Final[ProcessName] = "non_rt_process"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def check(self, now_ns: int) -> Finding:
        found = []
        for mailbox in self._bus.mailboxes():
            last = mailbox.last_drop_ns
            if last is not None and now_ns - last <= LOSS_WINDOW_NS:
                found.append(
                    f"observer {mailbox.name} lost events in the last minute "
                    f"({mailbox.dropped} since it subscribed): it is slower than they come"
                )
            busy_s = mailbox.busy_s()
            if busy_s >= LONG_CALL_S:
                found.append(
                    f"observer {mailbox.name} has been at one event for {busy_s:.0f} s: it waits "
                    "for something, or hangs"
                )
        return Finding(HealthStatus.DEGRADED, "; ".join(found)) if found else HEALTHY
