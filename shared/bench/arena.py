"""A segment for a benchmark, and a second process beside it."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from shared.core import MxrcError, ffi, lib, system_error
from shared.enums import RegionId
from shared.segment import Geometry, Segment
from shared.version import package_version

LONGEST_S = 60
RECORD_BYTES = int(lib.MXRC_SLOT_BYTES)


class Arena:
    """A segment with two rings of the same size, `first` and `second`, both writable here."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.first = self._ring(RegionId.CYCLE_RING)
        self.second = self._ring(RegionId.LANE)

    def _ring(self, region: int) -> Any:
        ring = ffi.new("struct mxrc_ring *")
        result = lib.mxrc_ring_open(ring, self.segment.raw, int(region))
        if result:
            raise MxrcError(f"benchmark: {system_error(result)}")
        return ring


@contextmanager
def arena(slots: int) -> Iterator[Arena]:
    """An arena with rings of so many slots (a power of two); gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mxrc-bench-") as folder:
        lock = Path(folder) / "lock"
        geometry = Geometry(
            instance=f"bench-{os.getpid()}-{secrets.token_hex(3)}",
            build=f"mxrc {package_version()}",
            config_hash=1,
            period_ns=1_000_000,
            axis_count=int(lib.MXRC_AXES),
            max_members=1,
            cycle_slots=slots,
            event_slots=slots,
            command_slots=64,
            staging_slots=1,
            names_rt=16,
            names_nonrt=16,
            data_keys=1,
            data_rt_cells=1,
            data_nonrt_cells=1,
        )
        segment = Segment.open_rt(geometry, lock)
        segment.publish()
        try:
            yield Arena(segment)
        finally:
            segment.retire(lock)
            segment.detach()


def cpus() -> tuple[int, int] | None:
    """(here, there): two CPUs this process may use, None when it has one only."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[-1], allowed[0]) if len(allowed) > 1 else None


@contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """This thread on one CPU (None: where it is), before all ordinary work if that is permitted."""
    before = os.sched_getaffinity(0)
    _settle(cpu)
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, before)


def _settle(cpu: int | None, *, urgent: bool = True) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    policy, priority = (os.SCHED_FIFO, 1) if urgent else (os.SCHED_OTHER, 0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, policy, os.sched_param(priority))


@contextmanager
def beside(work: Callable[[], object], cpu: int | None, *, urgent: bool = True) -> Iterator[int]:
    """`work` in a process of its own on that CPU, killed at the end; yields its pid.

    It shares the maps of this one; what it returns is lost. It is on its CPU when this goes on: it
    might not get there while its parent spins. urgent: before all ordinary work, as `pinned`.
    """
    settled, settling = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(LONGEST_S)  # should the parent be killed
            _settle(cpu, urgent=urgent)
            os.write(settling, b"1")
            work()
        finally:
            os._exit(0)  # nothing of this process is the child's to clean up
    os.close(settling)
    try:
        os.read(settled, 1)
        yield pid
    finally:
        os.close(settled)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
