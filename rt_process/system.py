"""What placement asks of the kernel, behind a protocol so that tests can answer."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, Protocol

from shared.core import lib, system_error
from shared.kernel.files import KernelFiles
from shared.kernel.interrupts import Interrupt, interrupts_on
from shared.kernel.isolation import Isolation, read_isolation
from shared.kernel.throttling import Throttling, read_throttling

SCHED_DEADLINE: Final = 6
_SLEEPER_STACK: Final = 256 * 1024  # all of it is locked memory, where memory is


class System(Protocol):
    """Scheduling and CPUs of threads; `thread` 0 is the caller."""

    def allowed_cpus(self) -> frozenset[int]:
        """CPUs that this process may be put on."""

    def affinity_now(self, thread: int) -> frozenset[int]:
        """CPUs that it may run on now. Raises OSError."""

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None:
        """Raises OSError."""

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None:
        """Raises OSError."""

    def set_deadline(self, thread: int, times_ns: tuple[int, int, int]) -> None:
        """SCHED_DEADLINE with runtime, deadline and period. Raises OSError."""

    def sleeper(self) -> AbstractContextManager[int]:
        """Id of a thread that sleeps, to try on what can be had. Raises OSError."""

    def throttling(self) -> Throttling:
        """Whether the kernel takes the CPU from real-time threads that never sleep."""

    def isolation(self) -> Isolation:
        """How far CPUs are kept free of other work."""

    def interrupts(self, cpus: Iterable[int]) -> tuple[Interrupt, ...]:
        """Interrupts that are delivered to one of `cpus`."""


class LinuxSystem:
    """This kernel."""

    def __init__(self) -> None:
        self._allowed = _allowed_by_cpuset()
        self._files = KernelFiles()

    def allowed_cpus(self) -> frozenset[int]:
        return self._allowed

    def affinity_now(self, thread: int) -> frozenset[int]:
        return frozenset(os.sched_getaffinity(thread))

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None:
        os.sched_setaffinity(thread, cpus)

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None:
        os.sched_setscheduler(thread, policy, os.sched_param(priority))

    def set_deadline(self, thread: int, times_ns: tuple[int, int, int]) -> None:
        error = lib.mxrc_sched_set(thread, SCHED_DEADLINE, 0, *times_ns)
        if error:
            raise OSError(error, system_error(error))

    @contextmanager
    def sleeper(self) -> Iterator[int]:
        end = threading.Event()
        thread = threading.Thread(target=end.wait, name="placement", daemon=True)
        usual = threading.stack_size(_SLEEPER_STACK)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from error
        finally:
            threading.stack_size(usual)
        number = thread.native_id or 0
        before = os.sched_getaffinity(number)
        try:
            yield number
        finally:
            # It has to run to end, and gets no time on a CPU where the RT thread spins.
            with suppress(OSError):
                self.set_scheduler(number, os.SCHED_OTHER, 0)
            with suppress(OSError):
                self.set_affinity(number, before)
            end.set()
            thread.join(1.0)

    def throttling(self) -> Throttling:
        return read_throttling(self._files)

    def isolation(self) -> Isolation:
        return read_isolation(self._files)

    def interrupts(self, cpus: Iterable[int]) -> tuple[Interrupt, ...]:
        return interrupts_on(self._files, cpus)


def _allowed_by_cpuset() -> frozenset[int]:
    """What the cpuset allows: neither CPUAffinity= of the unit nor a later set_affinity counts."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        return frozenset(os.sched_getaffinity(0))
    except OSError:
        return frozenset(before)
    finally:
        os.sched_setaffinity(0, before)
