"""What keeps the placement in force while the process runs; a part of the main thread's turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from rt_process.numa_policy import MemoryPolicyInForce
from rt_process.placement import Placement, move_thread
from rt_process.system import System
from shared.numa.maps import PageCounts
from shared.numa.pages import Migration, PageFiles
from shared.reasons import Reason

LOOK_NS: Final = 1_000_000_000
LOCAL_MIN_PERCENT: Final = 95.0


class Held(Protocol):
    """What is in force now (Reloader)."""

    @property
    def placement(self) -> Placement: ...

    @property
    def memory(self) -> MemoryPolicyInForce: ...


class Events(Protocol):
    """CpuEvents."""

    def seen(self) -> bool: ...


class Upkeep:
    """Counts pages, raises the alarm of remote memory, moves pages, puts the thread back.

    thread: id of the RT thread, 0 while there is none. cpu: where it ran last. primary: whether
    this process is it. running: whether the RT state is RUNNING. online: CPUs that are. node_of: of
    a CPU.
    """

    def __init__(
        self,
        held: Held,
        system: System,
        files: PageFiles,
        events: Events,
        *,
        thread: Callable[[], int],
        cpu: Callable[[], int],
        primary: Callable[[], bool],
        running: Callable[[], bool],
        online: Callable[[], frozenset[int]],
        node_of: Callable[[int], int | None],
        log: Callable[..., None],
        say: Callable[[str], None],
    ) -> None:
        self._held = held
        self._system = system
        self._files = files
        self._events = events
        self._thread = thread
        self._cpu = cpu
        self._primary = primary
        self._running = running
        self._online = online
        self._node_of = node_of
        self._log = log
        self._say = say
        self._look_ns = 0
        self._counts: PageCounts | None = None
        self._node: int | None = None
        self._remote = False
        self._lost: Reason | None = None
        self._migration: Migration | None = None
        self._of_segment = False

    def migrate(self) -> None:
        """Move what is elsewhere, from now on and outside of RUNNING, if migrate_pages says so.

        A STANDBY moves its own memory: the segment's pages belong on the node of the PRIMARY.
        """
        memory = self._held.memory
        self._migration = None
        if not memory.migrate:
            return
        self._of_segment = self._primary()
        files = self._files if self._of_segment else self._files.without_segment()
        self._migration = Migration(files, memory.numa, memory.target)

    def turn(self, now_ns: int) -> bool:
        """Do what is due; True: the member document has news."""
        migration = self._migration
        if migration is not None and not migration.done:
            if self._of_segment and not self._primary():
                self.migrate()  # handed over: the pages of the segment are another's to move now
            elif not self._running():
                migration.step()
                if migration.done:
                    self._log("PAGES_MOVED", migration.moved, migration.failed)
        due = now_ns - self._look_ns >= LOOK_NS
        if self._events.seen() or due:
            self._keep_affinity()
        if not due:
            return False
        self._look_ns = now_ns
        self._count()
        return True

    @property
    def reasons(self) -> list[Reason]:
        """What is not as it should be now."""
        found = [self._lost] if self._lost is not None else []
        percent = self.local_percent
        if self._remote and percent is not None:
            node = self._node
            found.append(
                Reason(
                    f"{100 - percent:.1f} % of its pages are not on node {node} of the RT thread's "
                    f"CPU (limit {100 - LOCAL_MIN_PERCENT:g} %)",
                    f"numa_binding.json: numa_node {node}, memory_policy BIND, migrate_pages true",
                )
            )
        return found

    @property
    def local_percent(self) -> float | None:
        """None before the first look, and where the kernel has no NUMA support."""
        if self._counts is None or self._node is None:
            return None
        return self._counts.local_percent([self._node])

    def document(self) -> dict[str, Any]:
        """Memory placement in force, as JSON."""
        percent = self.local_percent
        memory: dict[str, Any] = {
            "memory_policy": self._held.memory.policy,
            "numa_node": self._node,
            "local_memory_percent": None if percent is None else round(percent, 2),
        }
        if self._counts is not None:
            memory |= {"pages": self._counts.document()}
        if self._migration is not None:
            memory |= {"migration": self._migration.document()}
        return memory

    def _count(self) -> None:
        self._counts = self._files.count()
        self._node = self._node_of(self._cpu())
        percent = self.local_percent
        if percent is None:
            return
        remote = percent < LOCAL_MIN_PERCENT
        if remote != self._remote:
            self._remote = remote
            self._log("MEMORY_REMOTE" if remote else "MEMORY_LOCAL", 100 - percent, self._node or 0)
            if remote:
                self._say(f"DEGRADED: {self.reasons[-1]}")

    def _keep_affinity(self) -> None:
        thread, placement = self._thread(), self._held.placement
        if not thread:
            return
        wanted = frozenset(placement.cpus)
        there = wanted & self._online()
        missing = wanted - there
        self._lost = None
        if missing:
            shown = ",".join(map(str, sorted(missing)))
            self._lost = Reason(f"CPU {shown} of the RT thread is offline", "bring it back online")
        try:
            if not there or self._system.affinity_now(thread) == there:
                return
            if missing:
                self._system.set_affinity(thread, there)
                return
            move_thread(placement, thread, self._system)
        except OSError as error:
            self._lost = Reason(
                f"the RT thread cannot be put back on its CPUs ({error.strerror})",
                "see its cpuset: `mxrc doctor`",
            )
            return
        self._log("AFFINITY_RESTORED", min(wanted))
        self._say(f"the RT thread is back on CPU {','.join(map(str, sorted(wanted)))}")
