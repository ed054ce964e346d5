"""What the time of cycles goes into: the executive's stages and the entries of the schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.core import lib
from shared.enums import Criticality, EntryRun, RegionId, name_of
from shared.layout import Records, struct_view
from shared.metrics_def import quantile_ns
from shared.segment import Segment

SLOTS: Final = int(lib.MXRC_ENTRY_SLOTS)


@dataclass(frozen=True, slots=True)
class EntryTimes:
    """One stage or entry since the generation was made; times in us, wcet_us None: not declared."""

    name: str
    slot: int
    run: str
    criticality: str
    period_us: float
    phase_us: float
    wcet_us: float | None
    runs: int
    mean_us: float
    p99_us: float
    max_us: float
    exceeded: int
    shed: int
    skipped: int
    faults: int


def entry_records(segment: Segment) -> Records:
    """(SLOTS,) copy of the entry metrics."""
    view = struct_view(segment, RegionId.ENTRIES, "struct mxrc_entry_metrics", count=SLOTS)
    records: Records = view.copy()
    return records


def entry_names(segment: Segment) -> dict[int, str]:
    """Slot + 1, as cycle records have it -> name."""
    view = struct_view(segment, RegionId.ENTRIES, "struct mxrc_entry_metrics", count=SLOTS)
    names = [bytes(name).decode(errors="replace") for name in view["name"].tolist()]
    return {slot + 1: name for slot, name in enumerate(names) if name}


def entry_times(segment: Segment) -> Iterator[EntryTimes]:
    """Stages in the order of the cycle, then entries in that of the configuration."""
    for slot, row in enumerate(entry_records(segment)):
        name = bytes(row["name"]).decode(errors="replace")
        if not name:
            continue
        stored = row["histogram"]
        buckets = stored["bucket"].tolist()
        runs = sum(buckets)
        wcet_ns = int(row["wcet_ns"])
        yield EntryTimes(
            name=name,
            slot=slot,
            run=name_of(EntryRun, int(row["run"])),
            criticality=name_of(Criticality, int(row["criticality"])),
            period_us=int(row["period_ns"]) / 1e3,
            phase_us=int(row["phase_ns"]) / 1e3,
            wcet_us=wcet_ns / 1e3 if wcet_ns else None,
            runs=runs,
            mean_us=int(stored["sum_ns"]) / runs / 1e3 if runs else 0.0,
            p99_us=quantile_ns(buckets, 0.99) / 1e3 if runs else 0.0,
            max_us=int(stored["max_ns"]) / 1e3,
            exceeded=int(row["exceeded"]),
            shed=int(row["shed"]),
            skipped=int(row["skipped"]),
            faults=int(row["faults"]),
        )
