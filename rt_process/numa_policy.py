"""Memory policy of the RT process: set by the main thread before anything is allocated for cycles.

LOCAL means the node of the RT thread's CPUs: the main thread, which allocates what the RT thread
works in and may run on another node, prefers that node. The RT thread inherits the policy when it
is made; it allocates nothing in its cycle, so that a later change concerns the main thread and the
segment, and moves what is there already only when migrate_pages says so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from shared.config import Config
from shared.config.machine import Machine, format_cpu_list
from shared.config.models.numa_binding import MemoryPolicy, NumaBinding
from shared.numa.libnuma import LibNuma, Numa, NumaUnavailableError
from shared.reasons import Reason
from shared.startup import Refused

_WHERE: Final = "numa_binding.json: $.rt_process"


@dataclass(frozen=True, slots=True)
class MemoryPolicyInForce:
    """policy: LOCAL, the kernel's own, when none could be set.

    target: node that pages belong on; None: any. nodes: of the RT thread's CPUs. numa: None where
    there is nothing to be set. strict: what cannot be bound is refused.
    """

    policy: MemoryPolicy
    target: int | None
    nodes: frozenset[int]
    migrate: bool
    numa: Numa | None
    reasons: tuple[Reason, ...] = ()
    configured: dict[str, Any] = field(default_factory=dict)
    strict: bool = False


def nodes_of_cpus(machine: Machine, cpus: tuple[int, ...]) -> frozenset[int]:
    """NUMA nodes that `cpus` belong to."""
    return frozenset(
        node for node, members in machine.numa_nodes().items() if members.intersection(cpus)
    )


def set_memory_policy(
    config: Config,
    cpus: tuple[int, ...],
    machine: Machine,
    make_numa: Callable[[], Numa] = LibNuma,
) -> MemoryPolicyInForce:
    """Set the policy of the calling thread and of threads that it makes later.

    Raises:
        Refused: it cannot be set and strict_binding is true.
    """
    binding = config.numa_binding.rt_process
    nodes = nodes_of_cpus(machine, cpus)
    configured = binding.model_dump(mode="json")
    one_node = len(machine.numa_nodes()) == 1
    numa: Numa | None = None
    try:
        numa = make_numa()
        _set(numa, binding, nodes, frozenset(machine.numa_nodes()))
    except (NumaUnavailableError, OSError) as error:
        reason = _reason(binding, error)
        if binding.strict_binding and not (one_node and binding.memory_policy == "LOCAL"):
            raise not_strictly(reason) from None
        if numa is not None:
            # What was in force before a change does not stay: LOCAL is what is reported.
            with suppress(OSError):
                numa.set_policy("LOCAL", ())
        # With one node every page is on it, whoever says so.
        reasons = () if one_node else (reason,)
        return MemoryPolicyInForce("LOCAL", None, nodes, False, None, reasons, configured)
    target = _target(binding, nodes)
    return MemoryPolicyInForce(
        binding.memory_policy,
        target,
        nodes,
        binding.migrate_pages,
        numa if not one_node else None,
        _misplaced(binding, nodes, cpus),
        configured,
        binding.strict_binding,
    )


def _set(numa: Numa, binding: NumaBinding, nodes: frozenset[int], every: frozenset[int]) -> None:
    if binding.memory_policy == "INTERLEAVE":
        numa.set_policy("INTERLEAVE", every)
    elif binding.memory_policy != "LOCAL":
        numa.set_policy(binding.memory_policy, [binding.numa_node])
    elif len(nodes) == 1 and len(every) > 1:
        numa.set_policy("PREFERRED", nodes)
    else:
        numa.set_policy("LOCAL", ())


def _target(binding: NumaBinding, nodes: frozenset[int]) -> int | None:
    if binding.memory_policy == "INTERLEAVE":
        return None
    if binding.memory_policy != "LOCAL":
        return binding.numa_node
    return next(iter(nodes)) if len(nodes) == 1 else None


def _reason(binding: NumaBinding, error: NumaUnavailableError | OSError) -> Reason:
    if isinstance(error, NumaUnavailableError):
        return Reason(error.what, error.fix)
    said = (error.strerror or str(error)).lower()
    return Reason(
        f"memory policy {binding.memory_policy} on node {binding.numa_node} is refused ({said})",
        "its cpuset must allow that node (cpuset.mems), and the node must have memory",
    )


def not_strictly(reason: Reason) -> Refused:
    """Of a configuration whose strict_binding is true."""
    return Refused(f"{_WHERE}: strict_binding is true, and {reason}")


def _misplaced(
    binding: NumaBinding, nodes: frozenset[int], cpus: tuple[int, ...]
) -> tuple[Reason, ...]:
    if binding.memory_policy not in ("BIND", "PREFERRED") or binding.numa_node in nodes:
        return ()
    shown = format_cpu_list(nodes)
    return (
        Reason(
            f"memory is bound to node {binding.numa_node}, and the RT thread's CPU "
            f"{format_cpu_list(frozenset(cpus))} is on node {shown}: every access is remote",
            f"set numa_node {shown} in numa_binding.json, or cpu_cores to CPUs of node "
            f"{binding.numa_node}",
        ),
    )


def place_regions(
    policy: MemoryPolicyInForce, regions: list[tuple[int, int]], *, move: bool
) -> Reason | None:
    """Put regions of the segment (address, bytes) where the policy says.

    move: also pages that are there already and that nobody else maps.
    With INTERLEAVE too they go to the RT thread's node: the policy is for what it has for itself.
    """
    node = policy.target
    if node is None and len(policy.nodes) == 1:
        node = next(iter(policy.nodes))
    if policy.numa is None or node is None:
        return None
    try:
        for address, size in regions:
            policy.numa.bind_range(address, size, node, move=move)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        return Reason(
            f"regions of the segment are not bound to node {node} ({said})",
            "its cpuset must allow that node (cpuset.mems)",
        )
    return None
