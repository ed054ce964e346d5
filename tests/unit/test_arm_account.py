"""What the lab's plant makes of what reached it: each thing that must not happen is seen."""

from __future__ import annotations

import math

import pytest

from tests.lab.arm import AMPLITUDE, Row, account

PERIOD_S = 0.001
SWEEP = 400  # cycles


def motion(rounds: int) -> list[Row]:
    """There and back, so many times, under one epoch."""
    rows: list[Row] = []
    for cycle in range(rounds * SWEEP):
        phase = cycle % SWEEP / SWEEP
        command = AMPLITUDE * (1 - abs(2 * phase - 1))
        rows.append((cycle * PERIOD_S, cycle, 1, command))
    return [*rows, (rounds * SWEEP * PERIOD_S, rounds * SWEEP, 1, 0.0)]


def taken_over(rows: list[Row], at: int, outage_s: float, *, step: float = 0.0) -> list[Row]:
    """The same, with another PRIMARY from row `at` on, which begins where the last one ended."""
    time_s, cycle, _, command = rows[at]
    slots = round(outage_s / PERIOD_S)
    begun: list[Row] = [
        (time_s, 0, 0, math.nan),
        (time_s + outage_s, cycle + slots, 2, command + step),
    ]
    later = [(t + outage_s, c + slots, 2, q + step) for t, c, _, q in rows[at + 1 :]]
    return rows[: at + 1] + begun + later


def test_a_good_one() -> None:
    found = account(taken_over(motion(3), 500, 0.7), PERIOD_S)
    (outage,) = found["outages"]
    assert outage["seconds"] == pytest.approx(0.7 + PERIOD_S)
    assert outage["step"] == 0.0
    assert outage["speed"] == pytest.approx(2 * AMPLITUDE / (SWEEP * PERIOD_S))
    assert found["fastest"] == pytest.approx(outage["speed"])
    assert (found["rounds"], found["held"], found["backwards"]) == (3, 1, 0)


def test_a_jump_is_seen() -> None:
    found = account(taken_over(motion(3), 500, 0.7, step=0.05), PERIOD_S)
    assert found["outages"][0]["step"] == pytest.approx(0.05)
    rows = motion(1)
    rows[50] = (*rows[50][:3], rows[50][3] + 0.1)
    assert account(rows, PERIOD_S)["fastest"] > 50


@pytest.mark.parametrize("rounds", [2, 4])
def test_lost_and_repeated_rounds_are_seen(rounds: int) -> None:
    assert account(motion(rounds), PERIOD_S)["rounds"] == rounds != 3


def test_an_old_epoch_is_seen() -> None:
    rows = taken_over(motion(3), 500, 0.7)
    stale = (rows[700][0], rows[700][1], 1, rows[700][3])
    assert account([*rows[:700], stale, *rows[700:]], PERIOD_S)["backwards"] == 1


def test_one_that_never_moves_again_has_no_time() -> None:
    rows = taken_over(motion(3), 500, 0.7)
    assert "seconds" not in account(rows[:503], PERIOD_S)["outages"][0]
