"""Nearly full is DEGRADED, by name and with a remedy; at the limit it is not yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nonrt_process.failover.occupancy import command_queue, rings
from nonrt_process.interfaces import (
    HEALTHY,
    CommandPort,
    ConsumerFigures,
    ConsumerMonitor,
    HealthStatus,
)
from tests.unit.nonrt_process.fakes import FakeContext, fake_context, real_segment


class Port:
    count = 0

    def waiting(self) -> int:
        return self.count


class Monitor:
    found: Sequence[ConsumerFigures] = ()

    def consumers(self) -> Sequence[ConsumerFigures]:
        return self.found


def consumer(name: str, events: int = 0, cycles: int = 0) -> ConsumerFigures:
    return ConsumerFigures(name, events, cycles, 0, 0, 0, True)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[FakeContext]:
    with real_segment(tmp_path, cycle_slots=512, event_slots=256, command_slots=64) as (_, nonrt):
        made = fake_context(tmp_path, segment=nonrt)
        made.provide(CommandPort, Port())
        made.provide(ConsumerMonitor, Monitor())
        yield made


@pytest.mark.parametrize(("waiting", "full"), [(0, False), (57, False), (58, True), (64, True)])
def test_command_queue(context: FakeContext, waiting: int, full: bool) -> None:
    """57 of 64 are 89 %."""
    Port.count = waiting
    finding = command_queue(context)
    assert (finding != HEALTHY) is full
    if full:
        assert finding.status is HealthStatus.DEGRADED
        assert f"{waiting} of 64" in finding.reason
        assert "command_slots" in finding.reason


@pytest.mark.parametrize(
    ("events", "cycles", "named"),
    [
        (230, 460, []),  # 89.8 % each
        (231, 460, ["event"]),
        (230, 461, ["cycle"]),
        (256, 512, ["event", "cycle"]),
    ],
)
def test_rings(context: FakeContext, events: int, cycles: int, named: list[str]) -> None:
    Monitor.found = [consumer("quick", 1, 1), consumer("slow", events, cycles)]
    finding = rings(context)
    assert (finding.status is HealthStatus.DEGRADED) is bool(named)
    for what in ("event", "cycle"):
        assert (f"the {what} ring is" in finding.reason) is (what in named)
    assert "quick" not in finding.reason
    assert not named or "for consumer slow" in finding.reason


def test_without_a_segment_nothing_is_full(tmp_path: Path) -> None:
    made = fake_context(tmp_path)
    made.provide(CommandPort, Port())
    made.provide(ConsumerMonitor, Monitor())
    assert command_queue(made) == rings(made) == HEALTHY
