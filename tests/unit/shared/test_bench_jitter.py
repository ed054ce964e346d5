"""The summary of benchmarks/bench_jitter.py: what counts as a miss, and which pairs are clean."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.jitter.sleepers import Run
from benchmarks.jitter.summary import Pair, figures, groups, isolation, row


def run(who: str, late: list[float], missed: int = 0, slots: int = 0) -> Run:
    return Run(who, 1, np.array(late), missed, slots or len(late), 2.0)


def test_a_pair_is_clean_while_cyclictest_keeps_the_deadline() -> None:
    ours = run("sleep", [1.0])
    assert Pair("idle", 100, ours, run("cyclictest", [5.0, 90.0]), 1).clean
    assert not Pair("idle", 100, ours, run("cyclictest", [5.0, 90.1]), 1).clean
    assert not Pair("idle", 100, ours, "cyclictest is missing", 1).clean


def test_latencies_are_of_all_runs_and_ratios_of_pairs() -> None:
    pairs = [
        Pair("idle", 1000, run("sleep", [2.0] * 99 + [50.0], 1), run("cyclictest", [1.0]), 1),
        Pair("idle", 1000, run("sleep", [4.0] * 100, 0, 150), run("cyclictest", [4.0]), 2),
        Pair("stress", 1000, run("sleep", [9.0]), "cyclictest is missing", 1),
    ]
    idle, stress = groups(pairs)
    line = row(idle)
    assert (line["runs"], line["p50"], line["misses"], line["rate"]) == (2, 4.0, 1, "0.4000%")
    assert line["ratio"] == 1.5
    assert row(stress)["ratio"] is None
    (ratio,) = figures(pairs)
    assert (ratio.value, ratio.holds) == (1.5, False)


def test_hybrid_has_a_goal_for_each_load() -> None:
    pairs = [Pair(load, 1000, run("hybrid fixed", [3.0]), "none", 1) for load in ("idle", "stress")]
    assert [one.holds for one in figures(pairs)] == [False, True]


def test_isolation_compares_means() -> None:
    before, after = [run("sleep", [8.0])], [run("sleep", [3.0])]
    lower, mean, rate = isolation(before, after, [], "SCHED_FIFO")
    assert lower.value == pytest.approx(0.375)
    assert (lower.holds, mean.holds, rate.holds) == (True, True, True)
    assert [one.key for one in isolation(before, after, [], "SCHED_OTHER")] == ["sc002.SCHED_OTHER"]


def test_isolation_says_what_an_awake_cpu_would_do() -> None:
    halts, awake = [run("sleep", [12.0])], [run("sleep", [2.0])]
    found = {one.key: one for one in isolation([run("a", [8.0])], halts, awake, "SCHED_FIFO")}
    assert not found["sc002.SCHED_FIFO"].holds
    assert found["sc002.SCHED_FIFO.awake"].value == pytest.approx(0.25)
    assert found["sc001.awake.mean"].value == pytest.approx(2.0)
