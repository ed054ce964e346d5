"""Memory policy of this process: numa_binding.json's non_rt_process, in all of its threads.

A change is in force at once, for memory that is touched from then on; what is there already stays
where it is unless migrate_pages is true: then a thread moves the pages that only this process maps,
a batch at a time. Nothing of the segment moves here: it is RT's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nonrt_process.context import Context
from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, MemoryPlacement, ProcessName
from nonrt_process.plugins import Plugin
from shared.config import ConfigError
from shared.config.errors import Problem
from shared.config.machine import LinuxMachine, Machine
from shared.config.models.numa_binding import MemoryPolicy, NumaBinding, NumaBindingConfig
from shared.startup import Refused

if TYPE_CHECKING:
    from shared.numa.libnuma import Numa
    from shared.numa.pages import Migration, PageFiles
    from shared.numa.threads import ThreadKernel

BETWEEN_BATCHES_S: Final = 0.01
STOP_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _InForce:
    """What the kernel took. threads: that have it, 0: never set. deaf: those that have not."""

    policy: MemoryPolicy = "LOCAL"
    nodes: frozenset[int] = frozenset()
    threads: int = 0
    deaf: tuple[int, ...] = ()
    problem: str = ""


class _NotToBeHad(Exception):
    """The policy cannot be set; the text says why."""


class MemoryPolicyPlugin(Plugin):
    """Sets and verifies it at the start and at each change; `in_force` is what the kernel says."""

    process: ProcessName = "non_rt_process"

    def __init__(
        self,
        context: Context,
        machine: Machine | None = None,
        make_numa: Callable[[], Numa] | None = None,
        threads: ThreadKernel | None = None,
        files: PageFiles | None = None,
    ) -> None:
        super().__init__("memory_policy", health_checks=[self])
        self._log = context.log.getChild("memory_policy")
        self._context = context
        self._machine = machine or LinuxMachine()
        self._make_numa = make_numa
        self._threads = threads
        self._files = files
        self._numa: Numa | None = None
        self._now = self._before = _InForce()
        self._migration: Migration | None = None
        self._stop_moving = threading.Event()
        self._mover: threading.Thread | None = None
        context.provide(MemoryPlacement, self)
        context.config.subscribe(
            "numa_binding", prepare=self._prepare, commit=self._commit, rollback=self._rollback
        )

    @property
    def in_force(self) -> MemoryPolicy:
        """LOCAL, the kernel's own, when none could be set."""
        return self._now.policy

    def document(self) -> dict[str, Any]:
        """What is in force, as JSON. threads: that have it; null: it was never set."""
        now = self._now
        found: dict[str, Any] = {
            "memory_policy": now.policy,
            "nodes": sorted(now.nodes),
            "threads": now.threads or None,
            "threads_without": len(now.deaf),
        }
        if self._migration is not None:
            found["migration"] = self._migration.document()
        return found

    def start(self) -> None:
        """Raises Refused: it cannot be set and strict_binding is true."""
        binding = self._context.config.current.numa_binding.non_rt_process
        try:
            self._now = self._put(binding)
        except _NotToBeHad as error:
            raise Refused(
                f"numa_binding.json: $.non_rt_process: strict_binding is true, and {error}"
            ) from None
        self._say(binding)

    def stop(self) -> None:
        self._end_moving()

    def check(self, _now_ns: int) -> Finding:
        """DEGRADED while it is not as configured."""
        if not self._now.problem:
            return HEALTHY
        return Finding(HealthStatus.DEGRADED, f"Non-RT process: {self._now.problem}")

    # ---- a change ----

    def _prepare(self, old: NumaBindingConfig, new: NumaBindingConfig) -> None:
        """Raises ConfigError; the policy before is in force again then."""
        self._before = self._now
        if old.non_rt_process == new.non_rt_process:
            return
        try:
            self._now = self._put(new.non_rt_process)
        except _NotToBeHad as error:
            self._back(self._before)
            directory = self._context.config.current.directory
            raise ConfigError(
                [
                    Problem(
                        str(directory / "numa_binding.json"),
                        "$.non_rt_process",
                        new.non_rt_process.memory_policy,
                        f"strict_binding is true, and {error}",
                    )
                ]
            ) from None

    def _commit(self, old: NumaBindingConfig, new: NumaBindingConfig) -> None:
        if old.non_rt_process != new.non_rt_process:
            self._say(new.non_rt_process)

    def _rollback(self, old: NumaBindingConfig, new: NumaBindingConfig) -> None:
        if old.non_rt_process != new.non_rt_process:
            self._back(self._before)

    def _say(self, binding: NumaBinding) -> None:
        now = self._now
        if now.problem:
            self._log.warning("Non-RT process: %s", now.problem)
        elif now.threads:
            self._log.info(
                "Memory policy %s on nodes %s in %d threads",
                now.policy,
                sorted(now.nodes),
                now.threads,
            )
        self._move(binding)

    # ---- the kernel ----

    def _put(self, binding: NumaBinding) -> _InForce:
        """Raises _NotToBeHad with strict_binding; some threads may have the policy then."""
        if binding.memory_policy == "LOCAL" and self._numa is None:
            return _InForce()  # what the kernel does anyway: libnuma is not even loaded
        from shared.numa.libnuma import LibNuma, NumaUnavailableError

        try:
            if self._numa is None:
                self._numa = (self._make_numa or LibNuma)()
            return self._everywhere(self._numa, binding)
        except (NumaUnavailableError, OSError) as error:
            said = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            problem = f"memory policy {binding.memory_policy} is not in force: {said}"
            if binding.strict_binding:
                raise _NotToBeHad(problem) from None
            self._back(_InForce())
            # With one node every page is on it, whoever says so.
            return _InForce(problem=problem if len(self._machine.numa_nodes()) > 1 else "")

    def _everywhere(self, numa: Numa, binding: NumaBinding) -> _InForce:
        from shared.numa.threads import set_policy_everywhere

        policy, nodes = binding.memory_policy, frozenset({binding.numa_node})
        if policy == "INTERLEAVE":
            nodes = frozenset(self._machine.numa_nodes())
        elif policy == "LOCAL":
            nodes = frozenset()
        numa.set_policy(policy, nodes)  # of this thread: it is the one that can be asked
        found, on = numa.policy()
        if (found, on) != (policy, nodes):
            raise OSError(0, f"the kernel says {found} on nodes {sorted(on)}")
        reached = set_policy_everywhere(policy, nodes, self._threads)
        problem = ""
        if reached.deaf:
            problem = (
                f"{len(reached.deaf)} threads did not take memory policy {policy} "
                f"({', '.join(map(str, reached.deaf))}): restart mxrc-nonrt"
            )
        return _InForce(policy, nodes, reached.threads, reached.deaf, problem)

    def _back(self, before: _InForce) -> None:
        """As it was, as far as the kernel lets us; it did before."""
        self._now = before
        if self._numa is None:
            return
        from shared.numa.threads import set_policy_everywhere

        try:
            self._numa.set_policy(before.policy, before.nodes)
            set_policy_everywhere(before.policy, before.nodes, self._threads)
        except OSError as error:
            self._log.error("Memory policy %s is not in force again: %s", before.policy, error)

    # ---- what is there already ----

    def _move(self, binding: NumaBinding) -> None:
        self._end_moving()
        now = self._now
        if now.policy not in ("BIND", "PREFERRED") or not binding.migrate_pages:
            return
        if len(self._machine.numa_nodes()) == 1:
            return
        from shared.numa.pages import Migration, PageFiles

        (node,) = now.nodes
        migration = Migration(self._files or PageFiles(""), self._numa, node)
        stop = threading.Event()
        self._migration, self._stop_moving = migration, stop
        self._mover = threading.Thread(
            target=self._run_migration, args=(migration, node, stop), name="numa-migrate"
        )
        self._mover.daemon = True
        self._mover.start()

    def _run_migration(self, migration: Migration, node: int, stop: threading.Event) -> None:
        while not (migration.done or stop.is_set()):
            migration.step()
            stop.wait(BETWEEN_BATCHES_S)
        if migration.done:
            self._log.info(
                "%d pages moved to node %d, %d could not be",
                migration.moved,
                node,
                migration.failed,
            )

    def _end_moving(self) -> None:
        self._stop_moving.set()
        if self._mover is not None:
            self._mover.join(STOP_S)
        self._mover = self._migration = None


def create(context: Context) -> Plugin:
    """See nonrt_process.plugins."""
    return MemoryPolicyPlugin(context)
