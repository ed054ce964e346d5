from __future__ import annotations

import logging

import pytest

from nonrt_process.traces.governor import (
    CALM_WINDOWS,
    MIN_FACTOR,
    WINDOW_NS,
    CpuCost,
    Governor,
    Readings,
)

BUDGET = 0.05


class Load:
    """Spans cost in proportion to what is sampled; a cycle takes 100 us of 1 ms."""

    def __init__(self, governor: type[Governor] = Governor) -> None:
        self.factors: list[float] = []
        self.rt_ns = self.cycle_ns = self.own_ns = self.now_ns = 0
        self.governor = governor(
            lambda: Readings(self.rt_ns, self.cycle_ns, self.own_ns),
            lambda: BUDGET,
            self.factors.append,
            logging.getLogger("test.governor"),
        )

    def run(self, windows: int, rt: float = 0.0, own: float = 0.0) -> None:
        """rt, own: shares that they would cost at the configured rates."""
        for _ in range(windows):
            self.now_ns += WINDOW_NS
            cycles = WINDOW_NS // 10
            self.cycle_ns += cycles
            self.rt_ns += round(cycles * rt * self.governor.factor)
            self.own_ns += round(WINDOW_NS * own * self.governor.factor)
            self.governor.tick(self.now_ns)


class NeverLowers(Governor):
    def _set(self, factor: float) -> None:
        pass


def within_budget(load: Load) -> bool:
    return max(load.governor.rt_share, load.governor.own_share) <= BUDGET


@pytest.mark.parametrize("where", ["rt", "own"])
def test_it_lowers_the_rates_until_the_budget_is_kept(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    load = Load()
    load.run(1)
    load.run(20, **{where: 0.3})
    assert load.governor.factor == 1 / 8
    assert within_budget(load)
    assert load.factors == [1 / 2, 1 / 4, 1 / 8]
    assert "sampling rates are lowered to 0.125" in caplog.text

    wrong = Load(NeverLowers)
    wrong.run(1)
    wrong.run(20, **{where: 0.3})
    assert not within_budget(wrong), "the check sees a governor that does nothing"


def test_it_raises_them_again_slowly() -> None:
    load = Load()
    load.run(1)
    load.run(20, own=0.3)
    load.run(CALM_WINDOWS, own=0.01)
    assert load.governor.factor == 1 / 4
    load.run(2 * CALM_WINDOWS, own=0.01)
    assert load.governor.factor == 1
    load.run(100, own=0.01)
    assert load.factors == [1 / 2, 1 / 4, 1 / 8, 1 / 4, 1 / 2, 1]


def test_it_does_not_swing_around_the_budget() -> None:
    load = Load()
    load.run(1)
    load.run(200, own=0.06)
    assert load.factors == [1 / 2]


def test_it_has_a_bottom_and_survives_another_generation() -> None:
    load = Load()
    load.run(1)
    load.run(20, own=100)
    assert load.governor.factor == MIN_FACTOR
    load.rt_ns = load.cycle_ns = 0
    load.run(1)
    assert load.governor.rt_share == 0


def test_cpu_time_is_added_up() -> None:
    cost = CpuCost()
    with cost.measured():
        sum(range(100_000))
    assert cost.total_ns > 0
