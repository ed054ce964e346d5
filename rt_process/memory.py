"""Memory and power: no page fault in a cycle, no core dump, no deep sleep of the CPU."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from shared.core import ERROR_BYTES, error_buffer, lib, to_text
from shared.reasons import Reason
from shared.segment import Segment

_DMA_LATENCY = Path("/dev/cpu_dma_latency")


def no_core_dump() -> None:
    """A crash must not write the whole segment to disk while a standby takes over."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lock_memory(segment: Segment) -> tuple[str, Reason | None]:
    """Lock all memory, or what the right allows: what was done, and what is missing."""
    report = error_buffer()
    result = lib.mxrc_lock_memory(segment.raw, report, ERROR_BYTES)
    text = to_text(report)
    if not result:
        return text, None
    return text, Reason(
        f"memory is not locked as a whole ({text.partition('; grant')[0] or os.strerror(result)})",
        "give it CAP_IPC_LOCK, or LimitMEMLOCK=infinity (ulimit -l unlimited)",
    )


class LatencyRequest:
    """Holds /dev/cpu_dma_latency at 0 us, so that an idle CPU wakes at once; given up at exit."""

    def __init__(self, path: Path = _DMA_LATENCY) -> None:
        self._descriptor: int | None = None
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            os.write(descriptor, (0).to_bytes(4, "little", signed=True))
        except OSError:
            os.close(descriptor)
            return
        self._descriptor = descriptor

    @property
    def held(self) -> bool:
        """False where the device is absent or not ours to open: wake-ups from idle take longer."""
        return self._descriptor is not None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
