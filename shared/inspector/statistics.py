"""Distributions: of the cycles in the ring, of the whole generation, of each action."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.entries import EntryTimes, entry_times
from shared.enums import CycleFlag, EventKind, RegionId, SpanOperation, SpanStatus
from shared.inspector.records import read_cycles, read_events
from shared.inspector.rows import Reading, cycle_time_us, jitter_us
from shared.layout import Records, struct_view
from shared.metrics_def import bucket_upper_ns, counter_index, histograms, quantile_ns
from shared.segment import Segment

_SHARES: Final = (50.0, 90.0, 99.0, 99.9)
_NAMES: Final = {
    "mxrc_rt_cycle_time_us": "cycle_time",
    "mxrc_rt_wakeup_latency_seconds": "wakeup_latency",
    "mxrc_rt_commit_seconds": "commit",
    "mxrc_rt_command_latency_seconds": "command_latency",
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Values in (lower, upper], us; upper null: above the last edge."""

    lower_us: float
    upper_us: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of `count` values in us; null without any. buckets: from the first filled to the last one."""

    name: str
    source: str
    count: int
    mean_us: float | None = None
    min_us: float | None = None
    p50_us: float | None = None
    p90_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    max_us: float | None = None
    buckets: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionTime:
    """Durations of an action's spans, ms; failed: those that ended in an error."""

    task: str
    action: str
    count: int
    failed: int
    mean_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of an instance. ring: of the cycles still in the ring (warm-up left out); generation: of all
    cycles since its creation, from the RT thread's own histograms (two significant digits).
    missed and skipped are of the ring; a skipped slot has no latency: it counts as a miss only.
    """

    instance: str
    generation: int
    period_us: float
    deadline_us: float
    cycles: int
    window_s: float
    missed: int
    skipped: int
    lost: int
    generation_cycles: int
    generation_misses: int
    ring: tuple[Distribution, ...]
    whole: tuple[Distribution, ...]
    actions: tuple[ActionTime, ...]
    entries: tuple[EntryTimes, ...] = ()


def statistics(
    instance: str, segment: Segment, last: int | None = None, since_ns: int = 0
) -> Statistics:
    """Everything at once; last and since_ns limit the ring part and the actions."""
    found = read_cycles(segment, last, since_ns, warmup=False)
    cycles = found.records
    if last is not None and len(cycles):
        since_ns = max(since_ns, int(cycles[0]["wake_ns"]))
    committed = cycles[cycles["commit_ns"] != 0]
    commit = (committed["commit_ns"] - committed["scheduled_ns"]).astype(np.int64) / 1e3
    counters = struct_view(segment, RegionId.RT_METRICS, "struct mxrc_rt_metrics")[0]["counter"]
    span = int(cycles[-1]["wake_ns"]) - int(cycles[0]["wake_ns"]) if len(cycles) else 0
    return Statistics(
        instance=instance,
        generation=segment.generation,
        period_us=int(segment.header.period_ns) / 1e3,
        deadline_us=int(segment.rt_status.deadline_ns) / 1e3,
        cycles=len(cycles),
        window_s=span / 1e9,
        missed=int(np.count_nonzero(cycles["flags"] & int(CycleFlag.DEADLINE_MISS))),
        skipped=skipped_slots(cycles),
        lost=found.lost,
        generation_cycles=int(counters[counter_index("mxrc_rt_cycle_count")]),
        generation_misses=int(counters[counter_index("mxrc_rt_deadline_miss_count")]),
        ring=(
            distribution("wakeup_latency", jitter_us(cycles)),
            distribution("cycle_time", cycle_time_us(cycles)),
            distribution("commit", commit),
        ),
        whole=tuple(whole_generation(segment)),
        actions=tuple(action_times(segment, since_ns)),
        entries=tuple(entry_times(segment)),
    )


def skipped_slots(cycles: Records) -> int:
    """Slots of the grid that were never run before one of these cycles."""
    first = (cycles["flags"] & int(CycleFlag.FIRST)) != 0
    # In the first record of a PRIMARY these are the slots that had none.
    return int(cycles["skipped"][~first].sum())


def distribution(name: str, values: npt.NDArray[np.float64]) -> Distribution:
    """Of values in us, buckets at 1, 2, 5, 10, ..."""
    if not len(values):
        return Distribution(name, "ring", 0)
    p50, p90, p99, p999 = (float(one) for one in np.percentile(values, _SHARES))
    return Distribution(
        name=name,
        source="ring",
        count=len(values),
        mean_us=float(values.mean()),
        min_us=float(values.min()),
        p50_us=p50,
        p90_us=p90,
        p99_us=p99,
        p999_us=p999,
        max_us=float(values.max()),
        buckets=tuple(_buckets(*_histogram(values))),
    )


def edges_us() -> npt.NDArray[np.float64]:
    """Upper edges of the text histograms: 0.1 us to 5 s in steps of 1, 2, 5."""
    return np.array([digit * 10.0**power for power in range(-1, 7) for digit in (1, 2, 5)])


def _histogram(
    values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    edges = edges_us()
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return edges, counts


def _buckets(edges: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> list[Bucket]:
    filled = np.flatnonzero(counts)
    if not len(filled):
        return []
    return [
        Bucket(
            lower_us=float(edges[at - 1]) if at else 0.0,
            upper_us=float(edges[at]) if at < len(edges) else None,
            count=int(counts[at]),
        )
        for at in range(filled[0], filled[-1] + 1)
    ]


def whole_generation(segment: Segment) -> list[Distribution]:
    """The histograms that the RT thread keeps since the generation was made."""
    metrics = struct_view(segment, RegionId.RT_METRICS, "struct mxrc_rt_metrics")[0]
    found = []
    for row in histograms():
        stored = metrics["histogram"][row.index].copy()
        buckets, count = stored["bucket"], int(stored["count"])
        name = _NAMES.get(row.name, row.name)
        if not count:
            found.append(Distribution(name, "generation", 0))
            continue
        filled = np.flatnonzero(buckets)
        uppers = np.array([bucket_upper_ns(int(at)) for at in filled]) / 1e3
        edges = edges_us()
        counts = np.zeros(len(edges) + 1, np.int64)
        np.add.at(counts, np.searchsorted(edges, uppers - 1e-9), buckets[filled].astype(np.int64))
        listed = buckets.tolist()
        p50, p90, p99, p999 = (quantile_ns(listed, share / 100) / 1e3 for share in _SHARES)
        found.append(
            Distribution(
                name,
                "generation",
                count,
                int(stored["sum_ns"]) / count / 1e3,
                int(stored["min_ns"]) / 1e3,
                p50,
                p90,
                p99,
                p999,
                int(stored["max_ns"]) / 1e3,
                tuple(_buckets(edges, counts)),
            )
        )
    return found


def action_times(segment: Segment, since_ns: int = 0) -> list[ActionTime]:
    """Time of each action by its spans, the slowest mean first."""
    events = read_events(segment, None, since_ns).records
    spans = events[events["code"] == int(SpanOperation.ACTION_EXECUTE)]
    spans = spans[spans["kind"] == int(EventKind.SPAN)]
    reading = Reading(segment)
    durations = (spans["time_ns"] - spans["start_ns"]).astype(np.int64) / 1e6
    failed = spans["span_status"] == int(SpanStatus.ERROR)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    names = zip(reading.names(spans["task_name"]), reading.names(spans["action_name"]), strict=True)
    for at, key in enumerate(names):
        groups[key].append(at)
    rows = [_action(key, durations[at], failed[at]) for key, at in groups.items()]
    return sorted(rows, key=lambda row: -row.mean_ms)


def _action(key: tuple[str, str], durations: Any, failed: Any) -> ActionTime:
    p50, p99 = np.percentile(durations, (50, 99))
    return ActionTime(
        task=key[0],
        action=key[1],
        count=len(durations),
        failed=int(failed.sum()),
        mean_ms=float(durations.mean()),
        p50_ms=float(p50),
        p99_ms=float(p99),
        max_ms=float(durations.max()),
    )
