"""Rates of everything that flows through a segment, from two looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.core import lib, now_ns, to_text
from shared.entries import EntryTimes, entry_times
from shared.enums import RegionId
from shared.inspector.processes import ProcessStatus, processes
from shared.ring import RingReader
from shared.segment import Segment

Rate = Callable[[str, int], "float | None"]


@dataclass(frozen=True, slots=True)
class RingFlow:
    """A ring. rate_hz: records a second between two looks, null at the first. fill: share of the
    slots that hold a record (of the queue: that wait). backlog: of the slowest consumer.
    """

    name: str
    head: int
    capacity: int
    rate_hz: float | None
    fill: float
    backlog: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class ConsumerFlow:
    """A consumer. lag: records between its cursors and the heads; lost: in this generation."""

    name: str
    lag_cycles: int | None
    lag_events: int | None
    lost_cycles: int
    lost_events: int
    rate_hz: float | None


@dataclass(frozen=True, slots=True)
class Flows:
    """Rings, consumers and processes of one look, and the schedule's entries so far."""

    rings: tuple[RingFlow, ...]
    consumers: tuple[ConsumerFlow, ...]
    processes: tuple[ProcessStatus, ...]
    entries: tuple[EntryTimes, ...]


class FlowMeter:
    """Looks at one generation again and again."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._rings = {
            row.name: RingReader(segment, row.id)
            for row in sorted(segment.regions(), key=lambda row: row.id)
            if row.id in (RegionId.CYCLE_RING, RegionId.COMMANDS)
            or RegionId.LANE <= row.id < RegionId.LANE + lib.MXRC_LANES
        }
        self._last: dict[str, int] = {}
        self._last_ns = 0

    def look(self) -> Flows:
        """Rates since the last look."""
        now = now_ns()
        elapsed_s = (now - self._last_ns) / 1e9 if self._last_ns else 0.0
        seen: dict[str, int] = {}
        # Cursors before heads: a consumer at work never seems to be ahead.
        cursors = self._cursors()
        heads = {name: ring.head for name, ring in self._rings.items()}

        def rate(name: str, total: int) -> float | None:
            seen[name] = total
            if not elapsed_s or name not in self._last:
                return None
            return max(0, total - self._last[name]) / elapsed_s

        consumers = [self._consumer(name, cursor, heads, rate) for name, cursor in cursors]
        rings = [self._ring(name, heads[name], cursors, rate) for name in self._rings]
        self._last, self._last_ns = seen, now
        return Flows(
            tuple(rings),
            tuple(consumers),
            tuple(processes(self._segment)),
            tuple(entry_times(self._segment)),
        )

    def _cursors(self) -> list[tuple[str, dict[int | str, int]]]:
        """(name, {"cycle", lane: position, "lost_cycles", "lost_events"}) of each consumer."""
        found = []
        for at in range(int(lib.MXRC_CONSUMERS)):
            cursor = self._segment.cursors.cursor[at]
            name = to_text(cursor.name, 24)
            if not name:
                continue
            positions: dict[int | str, int] = {
                lane: int(cursor.lane[lane]) for lane in self._segment.lanes()
            }
            for field in ("cycle", "lost_cycles", "lost_events"):
                positions[field] = int(getattr(cursor, field))
            found.append((name, positions))
        return found

    def _lane(self, name: str) -> int:
        return self._rings[name].region - RegionId.LANE

    def _consumer(
        self,
        name: str,
        cursor: dict[int | str, int],
        heads: dict[str, int],
        rate: Rate,
    ) -> ConsumerFlow:
        lanes = [ring for ring in self._rings if ring not in ("cycle_ring", "commands")]
        events = sum(cursor[self._lane(ring)] for ring in lanes)
        # A consumer that wants none of a kind has a cursor that never left 0.
        lag_events = sum(max(0, heads[ring] - cursor[self._lane(ring)]) for ring in lanes)
        lag_cycles = max(0, heads["cycle_ring"] - cursor["cycle"])
        return ConsumerFlow(
            name=name,
            lag_cycles=lag_cycles if cursor["cycle"] else None,
            lag_events=lag_events if events else None,
            lost_cycles=cursor["lost_cycles"],
            lost_events=cursor["lost_events"],
            rate_hz=rate(f"consumer {name}", events + cursor["cycle"]),
        )

    def _ring(
        self,
        name: str,
        head: int,
        cursors: list[tuple[str, dict[int | str, int]]],
        rate: Rate,
    ) -> RingFlow:
        ring = self._rings[name]
        capacity = ring.capacity
        if name == "commands":
            held = max(0, head - int(self._segment.rt_status.command_tail))
            backlog = held
        else:
            held = min(head, capacity)
            key: int | str = "cycle" if name == "cycle_ring" else self._lane(name)
            positions = [cursor[key] for _, cursor in cursors if cursor[key]]
            backlog = max((max(0, head - position) for position in positions), default=0)
        return RingFlow(
            name, head, capacity, rate(name, head), held / capacity, backlog, ring.tombstones
        )
