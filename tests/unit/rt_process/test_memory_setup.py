"""Where the regions of the segment go, and who may say so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rt_process import memory_setup
from rt_process.housekeeping import SegmentBoard
from rt_process.memory_setup import bind_segment, change_memory, place_segment, rt_regions
from rt_process.numa_policy import MemoryPolicyInForce
from rt_process.placement import plan
from shared.core import lib
from shared.enums import Role
from shared.segment import Segment
from shared.startup import EX_CONFIG, Refused
from tests.helpers import unique_instance
from tests.unit.config.conftest import FakeMachine, Files
from tests.unit.rt_process.fakes import FakeNuma, FakeSystem
from tests.unit.shared.conftest import small_geometry


@pytest.fixture
def two(files: Files, tmp_path: Path) -> Iterator[tuple[Segment, Segment]]:
    """A segment as the RT process that made it sees it, and as one that was started later does."""
    geometry = small_geometry(unique_instance("memory"), files.load())
    first = Segment.open_rt(geometry, tmp_path / "lock")
    first.publish()
    second = Segment.open_rt(geometry, tmp_path / "lock")
    yield first, second
    second.detach()
    first.retire(tmp_path / "lock")


def primary_is(segment: Segment, pid: int) -> None:
    """As if the process that made it had the lease."""
    member = segment.member_struct(segment.member)
    member.pid, member.process_start = pid, lib.mxrc_process_start(os.getpid())
    member.role = Role.PRIMARY
    segment.lease.owner = 1 << 16 | segment.member + 1


def policy(numa: FakeNuma, node: int = 1) -> MemoryPolicyInForce:
    return MemoryPolicyInForce("BIND", node, frozenset({node}), False, numa)


def nodes(numa: FakeNuma) -> set[int]:
    return {node for _address, _size, node, _move in numa.ranges}


def test_who_made_the_segment_places_it(two: tuple[Segment, Segment]) -> None:
    numa = FakeNuma()
    assert place_segment(two[0], policy(numa)).reasons == ()
    assert len(numa.ranges) == len(rt_regions(two[0])) > 5
    assert nodes(numa) == {1}


def test_while_a_primary_lives_nobody_else_places_its_segment(
    two: tuple[Segment, Segment],
) -> None:
    first, second = two
    numa = FakeNuma()
    primary_is(first, os.getpid())
    place_segment(second, policy(numa))
    assert numa.ranges == []
    primary_is(first, 0)  # it is gone
    place_segment(second, policy(numa))
    assert nodes(numa) == {1}


def test_a_standby_that_changes_its_policy_leaves_the_segment_alone(
    two: tuple[Segment, Segment],
    files: Files,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numa = FakeNuma()
    monkeypatch.setattr(memory_setup, "set_memory_policy", lambda *_: policy(numa))
    config, placed = files.load(), plan(files.load(), FakeSystem(), machine)
    segment = two[1]
    member = segment.member_struct(segment.member)
    for role, bound in ((Role.STANDBY, set()), (Role.PRIMARY, {1})):
        member.role = role
        change_memory(config, placed, machine, segment, SegmentBoard(segment))
        assert nodes(numa) == bound
    assert not any(move for *_range, move in numa.ranges), "no page moves at once"


def test_strict_binding_is_for_the_segment_too(
    two: tuple[Segment, Segment],
    files: Files,
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segment = two[0]
    wanted = replace(policy(FakeNuma(refuses=True)), strict=True)
    with pytest.raises(Refused, match=r"strict_binding is true, and .*cpuset.mems") as raised:
        place_segment(segment, wanted)
    assert raised.value.status == EX_CONFIG
    monkeypatch.setattr(memory_setup, "set_memory_policy", lambda *_: wanted)
    placed = plan(files.load(), FakeSystem(), machine)
    segment.member_struct(segment.member).role = Role.PRIMARY
    with pytest.raises(Refused, match="not bound to node 1"):
        change_memory(files.load(), placed, machine, segment, SegmentBoard(segment))
    assert bind_segment(segment, wanted).reasons, "a PRIMARY that took over works on"


def test_what_cannot_be_bound_is_a_reason_and_said_once(two: tuple[Segment, Segment]) -> None:
    numa = FakeNuma(refuses=True)
    placed = place_segment(two[0], policy(numa))
    (reason,) = bind_segment(two[0], placed).reasons
    assert "regions of the segment are not bound to node 1" in reason.what
    assert "cpuset.mems" in reason.fix
