"""The memory policy of every thread of this process, at once and while they work.

set_mempolicy(2) is for the calling thread; others are interrupted and call it (thread_memory.c).
Threads that are made later inherit it from those that make them.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from shared.config.models.numa_binding import MemoryPolicy
from shared.core import ffi, lib
from shared.numa.libnuma import MAX_NODES, MODES

ANSWER_MS: Final = 50
BUDGET_S: Final = 2.0
_WORD_BITS: Final = 64


class ThreadKernel(Protocol):
    """The system calls, so that a test can play them."""

    def threads(self) -> set[int]:
        """Ids of the threads of this process."""

    def set_policy(self, thread: int, policy: MemoryPolicy, nodes: frozenset[int]) -> int:
        """0 or an errno. ESRCH: it has ended. ETIMEDOUT: it does not answer."""


class LinuxThreads:
    """ThreadKernel of this process. One caller at a time."""

    def threads(self) -> set[int]:
        return {int(path.name) for path in Path("/proc/self/task").iterdir()}

    def set_policy(self, thread: int, policy: MemoryPolicy, nodes: frozenset[int]) -> int:
        words = ffi.new("uint64_t[]", MAX_NODES // _WORD_BITS)
        for node in nodes:
            words[node // _WORD_BITS] |= 1 << node % _WORD_BITS
        return int(
            lib.mxrc_thread_memory_policy(thread, MODES[policy], words, len(words), ANSWER_MS)
        )


class Reached(NamedTuple):
    """threads: that have the policy. deaf: ids of those that did not answer and keep the old."""

    threads: int
    deaf: tuple[int, ...]


def set_policy_everywhere(
    policy: MemoryPolicy,
    nodes: Iterable[int],
    kernel: ThreadKernel | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Reached:
    """Until a look at the threads finds none without it: one may make another while this goes on.

    Raises:
        OSError: the kernel refuses it; some threads may have it already.
    """
    kernel, wanted = kernel or LinuxThreads(), frozenset(nodes)
    until = clock() + BUDGET_S
    done: set[int] = set()
    asked = False
    while True:
        there = kernel.threads()
        done &= there
        missing = there - done
        if not missing or (asked and clock() > until):
            return Reached(len(done), tuple(sorted(missing)))
        asked = True
        for thread in sorted(missing):
            code = kernel.set_policy(thread, policy, wanted)
            if code == 0:
                done.add(thread)
            elif code not in (errno.ESRCH, errno.ETIMEDOUT):
                raise OSError(code, os.strerror(code))
