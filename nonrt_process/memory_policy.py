"""Memory policy of this process: numa_binding.json's non_rt_process, through libnuma.

set_mempolicy(2) is a matter of each thread and inherited by those it makes: the main thread sets it
before the other parts make theirs. A later change is for the next start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nonrt_process.context import Context
from nonrt_process.interfaces import HEALTHY, Finding, HealthStatus, MemoryPlacement, ProcessName
from nonrt_process.plugins import Plugin
from shared.config.machine import LinuxMachine, Machine
from shared.config.models.numa_binding import MemoryPolicy, NumaBinding
from shared.startup import Refused

if TYPE_CHECKING:
    from shared.numa.libnuma import Numa


class MemoryPolicyPlugin(Plugin):
    """Sets and verifies it at the start; `in_force` is what the kernel says."""

    process: ProcessName = "non_rt_process"

    def __init__(
        self,
        context: Context,
        machine: Machine | None = None,
        make_numa: Callable[[], Numa] | None = None,
    ) -> None:
        super().__init__("memory_policy", health_checks=[self])
        self._log = context.log.getChild("memory_policy")
        self._context = context
        self._machine = machine or LinuxMachine()
        self._make_numa = make_numa
        self._problem = ""
        self._set: tuple[MemoryPolicy, int] | None = None
        self.in_force: MemoryPolicy = "LOCAL"
        context.provide(MemoryPlacement, self)

    def start(self) -> None:
        """Raises Refused: it cannot be set and strict_binding is true."""
        binding = self._context.config.current.numa_binding.non_rt_process
        self._set = binding.memory_policy, binding.numa_node
        if binding.memory_policy == "LOCAL":
            return  # what the kernel does anyway: libnuma is not even loaded
        from shared.numa.libnuma import LibNuma, NumaUnavailableError

        try:
            self._apply(binding, (self._make_numa or LibNuma)())
        except (NumaUnavailableError, OSError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            problem = f"memory policy {binding.memory_policy} is not in force: {said}"
            if binding.strict_binding:
                raise Refused(
                    f"numa_binding.json: $.non_rt_process: strict_binding is true, and {problem}"
                ) from None
            if len(self._machine.numa_nodes()) > 1:  # else every page is there, whoever says so
                self._problem = f"Non-RT process: {problem}"
                self._log.warning("%s", self._problem)

    def _apply(self, binding: NumaBinding, numa: Numa) -> None:
        every = frozenset(self._machine.numa_nodes())
        nodes = every if binding.memory_policy == "INTERLEAVE" else frozenset({binding.numa_node})
        numa.set_policy(binding.memory_policy, nodes)
        found, on = numa.policy()
        if (found, on) != (binding.memory_policy, nodes):
            raise OSError(0, f"the kernel says {found} on nodes {sorted(on)}")
        self.in_force = binding.memory_policy
        self._log.info("Memory policy %s on nodes %s", found, sorted(nodes))

    def check(self, _now_ns: int) -> Finding:
        """DEGRADED while it is not as configured."""
        binding = self._context.config.current.numa_binding.non_rt_process
        if self._problem:
            return Finding(HealthStatus.DEGRADED, self._problem)
        if self._set is not None and self._set != (binding.memory_policy, binding.numa_node):
            return Finding(
                HealthStatus.DEGRADED,
                f"Non-RT process: memory policy {binding.memory_policy} on node "
                f"{binding.numa_node} waits for the next start: restart mxrc-nonrt",
            )
        return HEALTHY


def create(context: Context) -> Plugin:
    """See nonrt_process.plugins."""
    return MemoryPolicyPlugin(context)
