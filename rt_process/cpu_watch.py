"""CPUs that go and come back: the kernel takes a thread off a CPU that goes and leaves it there.

The kernel's own uevents (netlink) say when; where they do not arrive (a network namespace of its
own) the affinity is compared every second.
"""

from __future__ import annotations

import re
import socket
from typing import Final

_NETLINK_KOBJECT_UEVENT: Final = 15
_KERNEL_GROUP: Final = 1
_RECEIVE_BYTES: Final = 8192
_MAX_MESSAGES: Final = 64
_CPU = re.compile(rb"(online|offline)@/devices/system/cpu/cpu\d+\Z")


class CpuEvents:
    """Says whether a CPU came or went since the last look; never blocks."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        try:
            listener = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
                _NETLINK_KOBJECT_UEVENT,
            )
        except OSError:
            return
        try:
            listener.bind((0, _KERNEL_GROUP))
        except OSError:
            listener.close()
            return
        self._socket = listener

    def seen(self) -> bool:
        """True also when messages were lost: then nobody knows."""
        found = False
        if self._socket is None:
            return found
        for _ in range(_MAX_MESSAGES):
            try:
                message = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError:
                return True  # ENOBUFS
            found = found or is_cpu_event(message)
        return found

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def is_cpu_event(message: bytes) -> bool:
    """Whether a uevent (`action@path`, NUL, fields) is of a CPU that came or went."""
    return _CPU.match(message.partition(b"\0")[0]) is not None
