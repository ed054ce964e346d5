"""Each cause is found, and none that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from nonrt_process.incidents.causes import (
    HELD_UP,
    WOKE_LATE,
    WORKED_LONG,
    Circumstances,
    explain,
)
from shared.enums import CycleFlag
from tests.unit.nonrt_process.fakes import cycles

MISS = int(CycleFlag.DEADLINE_MISS)
OVERRUN = int(CycleFlag.OVERRUN)
AT = Circumstances(900_000, 1_000_000, {3: "law", 6: "wear"})


def cycle(jitter_us: float, work_us: float, **fields: Any) -> Any:
    wake = round(jitter_us * 1000)
    commit = wake + round(work_us * 1000)
    times = {"scheduled_ns": 0, "wake_ns": wake, "commit_ns": commit, "end_ns": commit + 2_000}
    return cycles([{**times, "flags": MISS, **fields}])[0]


@pytest.mark.parametrize(
    ("jitter_us", "work_us", "causes"),
    [
        (950, 10, [WOKE_LATE]),
        (5, 950, [WORKED_LONG]),
        (600, 350, [WOKE_LATE]),
        (100, 850, [WORKED_LONG]),  # it woke late, too, but that is not what took the time
        (950, 950, [WOKE_LATE, WORKED_LONG]),
    ],
)
def test_what_took_the_time_is_the_cause(
    jitter_us: float, work_us: float, causes: list[str]
) -> None:
    found = explain(cycle(jitter_us, work_us), None, AT)
    assert found["causes"] == causes
    assert found["late_us"] == pytest.approx(jitter_us + work_us - 900)
    assert found["missed"]


@pytest.mark.parametrize(
    ("before_end_us", "jitter_us", "work_us", "causes"),
    [
        (2000, 2003, 10, [HELD_UP]),
        (500, 503, 450, [HELD_UP]),  # neither alone: it waited longer than it worked
        (300, 303, 650, [WORKED_LONG]),
        (2000, 2003, 950, [HELD_UP, WORKED_LONG]),
        (2000, 4003, 10, [HELD_UP, WOKE_LATE]),
        (-200, 2003, 10, [WOKE_LATE]),  # it had ended in time
    ],
)
def test_who_had_to_wait_for_the_cycle_before_did_not_wake_late(
    before_end_us: int, jitter_us: float, work_us: float, causes: list[str]
) -> None:
    late = cycle(jitter_us, work_us, scheduled_ns=5_000_000)
    for name in ("wake_ns", "commit_ns", "end_ns"):
        late[name] += 5_000_000
    before = cycle(0, 0, end_ns=5_000_000 + before_end_us * 1000)
    found = explain(late, before, AT)
    assert found["causes"] == causes
    assert found["held_up_us"] == max(0, before_end_us)
    assert found["held_up_us"] + found["woke_late_us"] == pytest.approx(jitter_us)
    assert found["late_us"] == pytest.approx(jitter_us + work_us - 900)


def test_the_entry_that_took_longest_is_named_only_when_the_work_was_long() -> None:
    long = cycle(5, 950, longest_entry=3, longest_ns=900_000)
    assert (explain(long, None, AT)["entry"], explain(long, None, AT)["entry_us"]) == ("law", 900)
    assert explain(cycle(950, 10, longest_entry=3, longest_ns=5_000), None, AT)["entry"] == ""


def test_an_overrun_after_outputs_in_time() -> None:
    late = cycle(5, 20, flags=OVERRUN, end_ns=1_300_000, longest_entry=6, longest_ns=1_200_000)
    found = explain(late, None, AT)
    assert not found["missed"]
    assert (found["causes"], found["entry"]) == ([WORKED_LONG], "wear")
    assert found["late_us"] == pytest.approx(300)


def test_facts_only_where_they_were_read() -> None:
    record = cycle(5, 950, major_faults=2, involuntary_switches=1, voluntary_switches=1, cpu=1)
    before = cycle(1, 10, cpu=0)
    assert explain(record, before, AT)["facts"] == ["moved from CPU 0 to 1"]
    known = Circumstances(900_000, 1_000_000, {}, usage=True)
    assert explain(record, before, known)["facts"] == [
        "moved from CPU 0 to 1",
        "2 major page faults",
        "1 involuntary context switches",
    ]


@pytest.mark.parametrize(
    ("jitter_us", "throttle_ms", "stolen_ms", "words"),
    [
        (50_500, 50, 0, ["throttling"]),
        (20_000, 50, 0, []),
        (50_500, 0, 0, []),
        (30_000, 0, 20, ["virtual machine"]),
        (30_000, 0, 10, []),
        (950, 50, 1000, []),  # too short to be either
    ],
)
def test_pauses_are_inferred(
    jitter_us: float, throttle_ms: int, stolen_ms: int, words: list[str]
) -> None:
    pauses: dict[str, Any] = {
        "throttle_pause_ns": throttle_ms * 10**6,
        "stolen_ns": stolen_ms * 10**6,
    }
    found = explain(cycle(jitter_us, 10), None, Circumstances(900_000, 1_000_000, {}, **pauses))
    assert len(found["inferred"]) == len(words)
    assert all(word in text for word, text in zip(words, found["inferred"], strict=True))
