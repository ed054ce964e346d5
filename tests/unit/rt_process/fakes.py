"""A kernel, a thread and a board that tests can set and look at."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.config.models.numa_binding import MemoryPolicy
from shared.enums import RtEvent
from shared.kernel.cpusets import Cpuset
from shared.kernel.interrupts import Interrupt
from shared.kernel.isolation import Isolation
from shared.kernel.throttling import Throttling

SLEEPER = 815


@dataclass
class FakeSystem:
    """Grants what it is told to grant."""

    allowed: frozenset[int] = frozenset(range(4))
    may_real_time: bool = True
    is_throttled: bool = True
    partition: frozenset[int] = frozenset()
    affinity: dict[int, tuple[int, ...]] = field(default_factory=dict)
    scheduler: dict[int, tuple[int, int]] = field(default_factory=dict)
    deadline: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    calls: list[tuple[int, object]] = field(default_factory=list)

    @contextmanager
    def sleeper(self) -> Iterator[int]:
        yield SLEEPER

    def allowed_cpus(self) -> frozenset[int]:
        return self.allowed

    def affinity_now(self, thread: int) -> frozenset[int]:
        return frozenset(self.affinity.get(thread, self.allowed))

    def set_affinity(self, thread: int, cpus: Iterable[int]) -> None:
        if not self.allowed.issuperset(cpus):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self.affinity[thread] = tuple(cpus)
        self.calls.append((thread, tuple(cpus)))

    def set_scheduler(self, thread: int, policy: int, priority: int) -> None:
        if policy != os.SCHED_OTHER and not self.may_real_time:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self.scheduler[thread] = (policy, priority)
        self.deadline.pop(thread, None)
        self.calls.append((thread, policy))

    def set_deadline(self, thread: int, times_ns: tuple[int, int, int]) -> None:
        # As the kernel does for a pinned thread outside of an exclusive cpuset.
        if not self.may_real_time or not self.partition:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        others = [times for other, times in self.deadline.items() if other != thread]
        if sum(runtime / period for runtime, _deadline, period in [*others, times_ns]) > 0.95:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        self.deadline[thread] = times_ns
        self.calls.append((thread, times_ns))

    def throttling(self) -> Throttling:
        return Throttling(950_000, 1_000_000, in_force=self.is_throttled, fair_server=False)

    def isolation(self) -> Isolation:
        return Isolation(cpuset=Cpuset(2, "/mxrc", self.partition, bool(self.partition), "none"))

    def interrupts(self, cpus: Iterable[int]) -> tuple[Interrupt, ...]:
        return ()


@dataclass
class FakeNuma:
    """Two nodes; pages are on node 0 unless they were moved. refuses: all but LOCAL fails."""

    refuses: bool = False
    in_force: tuple[str, tuple[int, ...]] = ("LOCAL", ())
    ranges: list[tuple[int, int, int, bool]] = field(default_factory=list)
    pages: dict[int, int] = field(default_factory=dict)
    may_move_shared: bool = True

    def set_policy(self, policy: MemoryPolicy, nodes: Iterable[int]) -> None:
        if self.refuses and policy != "LOCAL":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self.in_force = (policy, tuple(nodes))

    def policy(self) -> tuple[MemoryPolicy | None, frozenset[int]]:
        raise NotImplementedError

    def bind_range(self, address: int, size: int, node: int, *, move: bool) -> None:
        if self.refuses:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        self.ranges.append((address, size, node, move))

    def nodes_of(self, addresses: Sequence[int]) -> list[int]:
        return [self.pages.get(address, -errno.ENOENT) for address in addresses]

    def move(self, addresses: Sequence[int], node: int, *, shared: bool) -> list[int]:
        if shared and not self.may_move_shared:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self.pages.update(dict.fromkeys(addresses, node))
        return [node] * len(addresses)


@dataclass
class FakeThread:
    """Ends when STOP was posted, unless it is stuck."""

    stuck: bool = False
    busy_posts: int = 0
    posted: list[RtEvent] = field(default_factory=list)
    handed_over: list[int] = field(default_factory=list)
    refusal: str = ""

    def hand_over(self, pid: int) -> str:
        self.handed_over.append(pid)
        return self.refusal

    def running(self) -> bool:
        return self.stuck or RtEvent.STOP not in self.posted

    def post(self, event: RtEvent) -> bool:
        if self.busy_posts:
            self.busy_posts -= 1
            return False
        self.posted.append(event)
        return True


@dataclass
class FakeBoard:
    """heartbeat moves on by itself unless it is frozen."""

    primary: bool = True
    frozen: bool = False
    current: bool = True
    beat_at: int = 0
    heartbeat: int = 0
    clock_updates: int = 0
    logged: list[tuple[str, tuple[float, ...]]] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    def heartbeat_ns(self) -> int:
        if not self.frozen:
            self.heartbeat += 1
        return self.heartbeat

    def is_primary(self) -> bool:
        return self.primary

    def state(self) -> str:
        return "RUNNING"

    def cycle(self) -> int:
        return 7

    def beat(self, now_ns: int) -> None:
        self.beat_at = now_ns

    def update_clock(self) -> None:
        self.clock_updates += 1

    def segment_current(self) -> bool:
        return self.current

    def log(self, message: str, *args: float) -> None:
        self.logged.append((message, args))

    def write_document(self, document: dict[str, Any]) -> None:
        self.documents.append(document)

    def admin_request(self) -> tuple[int, dict[str, Any]] | None:
        return self.requests.pop(0) if self.requests else None

    def answer(self, number: int) -> None:
        self.answered.append(number)
