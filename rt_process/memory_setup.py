"""Memory placement at the start, and the parts that watch over it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rt_process.cpu_watch import CpuEvents
from rt_process.numa_policy import (
    MemoryPolicyInForce,
    not_strictly,
    place_regions,
    set_memory_policy,
)
from rt_process.placement import Placement
from rt_process.system import System
from rt_process.upkeep import Held, Upkeep
from shared.config import Config
from shared.config.machine import Machine
from shared.core import ffi, to_text
from shared.enums import RtState, Writer
from shared.numa.pages import PAGE, Migration, PageFiles
from shared.segment import Segment, process_alive

if TYPE_CHECKING:
    from rt_process.housekeeping import SegmentBoard


def start_memory(config: Config, placement: Placement, machine: Machine) -> MemoryPolicyInForce:
    """Set the policy, and take along what the interpreter has allocated before it.

    No cycle runs yet, so that this does not wait for migrate_pages. Raises Refused.
    """
    policy = set_memory_policy(config, placement.cpus, machine)
    _finish(Migration(PageFiles(""), policy.numa, policy.target))
    return policy


def place_segment(segment: Segment, policy: MemoryPolicyInForce) -> MemoryPolicyInForce:
    """Before the first cycle: the regions that RT writes go to its node; with what failed.

    The pages of a segment that was there before are moved when migrate_pages says so. While another
    process is PRIMARY nothing is touched: it works in these pages, and they belong on its node.

    Raises Refused: they cannot be bound and strict_binding is true.
    """
    if primary_lives(segment):
        return policy
    policy = bind_segment(segment, policy, move=True, strict=policy.strict)
    if policy.migrate and not segment.created:
        for address, size in rt_regions(segment):
            bytes(memoryview(ffi.buffer(ffi.cast("char *", address), size))[::PAGE])
        files = PageFiles(to_text(segment.raw.name))
        _finish(Migration(files, policy.numa, policy.target))
    return policy


def bind_segment(
    segment: Segment, policy: MemoryPolicyInForce, *, move: bool = False, strict: bool = False
) -> MemoryPolicyInForce:
    """The regions that RT writes belong to its node from now on; `policy` with what failed.

    For the PRIMARY only, or before there is one. Without `move` no page moves, whatever the RT
    state is. Raises Refused with `strict`: what fails is no reason then.
    """
    reason = place_regions(policy, rt_regions(segment), move=move)
    if reason is not None and strict:
        raise not_strictly(reason)
    if reason is None or reason in policy.reasons:
        return policy
    return replace(policy, reasons=(*policy.reasons, reason))


def change_memory(
    config: Config, placement: Placement, machine: Machine, segment: Segment, board: SegmentBoard
) -> MemoryPolicyInForce:
    """For a change at run time: a STANDBY changes its own memory only. Raises Refused."""
    policy = set_memory_policy(config, placement.cpus, machine)
    if not board.is_primary():
        return policy
    return bind_segment(segment, policy, strict=policy.strict)


def primary_lives(segment: Segment) -> bool:
    """Whether another process has the lease, and lives."""
    owner = segment.primary()
    if owner is None or owner == segment.member:
        return False
    other = segment.member_struct(owner)
    return process_alive(int(other.pid), int(other.process_start))


def rt_regions(segment: Segment) -> list[tuple[int, int]]:
    """Address and size of the regions that this RT process writes."""
    base = int(ffi.cast("uintptr_t", segment.raw.base))
    return [
        (base + region.offset, -(-region.size // PAGE) * PAGE)
        for region in segment.regions()
        if region.writer == Writer.RT
        or (region.writer == Writer.MEMBER and region.member == segment.member)
    ]


def make_upkeep(
    held: Held,
    segment: Segment,
    system: System,
    machine: Machine,
    board: SegmentBoard,
    say: Callable[[str], None],
) -> Upkeep:
    """Upkeep of this process."""
    member = segment.member_struct(segment.member)
    nodes = {cpu: node for node, cpus in machine.numa_nodes().items() for cpu in cpus}
    return Upkeep(
        held,
        system,
        PageFiles(to_text(segment.raw.name)),
        CpuEvents(),
        # A STANDBY keeps off the PRIMARY's CPU, wherever that is.
        thread=lambda: int(member.tid) if board.is_primary() else 0,
        cpu=lambda: int(member.cpu),
        primary=board.is_primary,
        running=lambda: segment.rt_status.state == RtState.RUNNING and board.is_primary(),
        online=machine.online_cpus,
        node_of=nodes.get,
        log=board.log,
        say=say,
    )


def _finish(migration: Migration) -> None:
    while not migration.done:
        migration.step()
