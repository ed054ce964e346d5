"""Why a cycle was late: from its record, the one before it, and what the kernel says.

What the record proves is stated; what only fits is `inferred` and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.enums import CycleFlag
from shared.layout import Records

HELD_UP: Final = "the cycle before ended late"
WOKE_LATE: Final = "woke late"
WORKED_LONG: Final = "worked long"
_LATE: Final = int(CycleFlag.DEADLINE_MISS | CycleFlag.OVERRUN)
_WARMUP: Final = int(CycleFlag.WARMUP)
FIRST: Final = int(CycleFlag.FIRST)
_MISS: Final = int(CycleFlag.DEADLINE_MISS)
_NEAR: Final = 0.2
_STOLEN: Final = 0.5
_LEAST_PAUSE_NS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Circumstances:
    """deadline_ns and period_ns of the cycle; names: of entries, as records number them.

    throttle_pause_ns: how long the kernel keeps real-time threads off a CPU that they used up, 0:
    never. stolen_ns: what the hypervisor took from all CPUs together around the cycle.
    usage: faults and switches were read.
    """

    deadline_ns: int
    period_ns: int
    names: Mapping[int, str]
    throttle_pause_ns: int = 0
    stolen_ns: int = 0
    usage: bool = False


def is_late(flags: Any) -> Any:
    """Whether a cycle missed its deadline or overran, after the warm-up; or each of an array."""
    return ((flags & _LATE) != 0) & ((flags & _WARMUP) == 0)


def _lateness(
    records: Any, before_end_ns: Any, deadline_ns: int, period_ns: int
) -> tuple[Any, Any, Any, Any]:
    """Held up by the cycle before, woke so late after that, worked so long, and what each may be,
    in ns; of one record or of many. before_end_ns: when the cycle before each ended, 0: unknown.

    With overrun policy catch_up a slot whose start has passed runs at once: it did not wake late.
    """
    scheduled, wake = (records[name].astype(np.int64) for name in ("scheduled_ns", "wake_ns"))
    missed = (records["flags"] & _MISS) != 0
    finished = np.where(missed, records["commit_ns"], records["end_ns"]).astype(np.int64)
    held = np.maximum(0, np.minimum(before_end_ns.astype(np.int64), wake) - scheduled)
    limit = np.where(missed, deadline_ns, period_ns)
    return held, wake - scheduled - held, finished - wake, limit


def kinds(
    records: Records, before_end_ns: Any, deadline_ns: int, period_ns: int
) -> npt.NDArray[np.uint64]:
    """A bit for each late cycle: 0 woke late, n worked long in the part that records number n.

    None for one that was only held up: it is explained by the cycle before.
    """
    held, jitter, work, limit = _lateness(records, before_end_ns, deadline_ns, period_ns)
    others = np.maximum(held, jitter)
    worked = (work > limit) | ((others <= limit) & (others <= work))
    woke = (jitter > limit) | ((held <= limit) & (held <= jitter))
    # 0 stands for "not known" as a part: those have the topmost bit.
    part = np.where(records["longest_entry"] == 0, 63, records["longest_entry"])
    bits: npt.NDArray[np.uint64] = np.left_shift(
        (worked | woke).astype(np.uint64), np.where(worked, part, 0).astype(np.uint64)
    )
    return bits


def explain(record: Any, before: Any | None, at: Circumstances) -> dict[str, Any]:
    """Of one late cycle: causes, the part that took longest, facts, what is inferred.

    record, before: of the cycle dtype; times in us in the answer.
    """
    before_end = np.uint64(0) if before is None else before["end_ns"]
    lateness = _lateness(record, before_end, at.deadline_ns, at.period_ns)
    held, jitter, work, limit = map(int, lateness)
    worked = int(record["end_ns"]) - int(record["wake_ns"])
    parts = ((HELD_UP, held), (WOKE_LATE, jitter), (WORKED_LONG, work))
    causes = [name for name, took in parts if took > limit]
    if not causes:  # none alone: the largest part
        causes = [max(reversed(parts), key=lambda part: part[1])[0]]
    longest = int(record["longest_entry"])
    facts = _facts(record, before, at)
    return {
        "cycle": int(record["cycle"]),
        "missed": bool(int(record["flags"]) & _MISS),
        "late_us": (held + jitter + work - limit) / 1e3,
        "causes": causes,
        "held_up_us": held / 1e3,
        "woke_late_us": jitter / 1e3,
        "worked_us": worked / 1e3,
        "entry": at.names.get(longest, "") if WORKED_LONG in causes else "",
        "entry_us": int(record["longest_ns"]) / 1e3,
        "facts": facts,
        "inferred": _inferred(jitter, worked, causes, at),
    }


def _facts(record: Any, before: Any | None, at: Circumstances) -> list[str]:
    facts = []
    if before is not None and int(before["cpu"]) != int(record["cpu"]):
        facts.append(f"moved from CPU {int(before['cpu'])} to {int(record['cpu'])}")
    if not at.usage:
        return facts
    for field, text in (
        ("minor_faults", "minor page faults"),
        ("major_faults", "major page faults"),
        ("involuntary_switches", "involuntary context switches"),
    ):
        if int(record[field]):
            facts.append(f"{int(record[field])} {text}")
    if int(record["voluntary_switches"]) > 1:  # one is the sleep
        facts.append(f"{int(record['voluntary_switches'])} voluntary context switches")
    return facts


def _inferred(jitter: int, work: int, causes: list[str], at: Circumstances) -> list[str]:
    if causes == [HELD_UP]:
        return []  # what there is to infer is said of the cycle before
    delay = jitter if WOKE_LATE in causes else work
    if delay < _LEAST_PAUSE_NS:
        return []
    found = []
    pause = at.throttle_pause_ns
    if pause and abs(delay - pause) <= _NEAR * pause:
        found.append(
            f"real-time throttling: the delay is that of its pause ({pause / 1e6:g} ms); see "
            "`mxrc doctor`"
        )
    if at.stolen_ns >= _STOLEN * delay:
        found.append(
            f"a pause of the virtual machine: the hypervisor took {at.stolen_ns / 1e6:g} ms"
        )
    return found
