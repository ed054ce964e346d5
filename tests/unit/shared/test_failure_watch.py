from __future__ import annotations

from dataclasses import dataclass

import pytest

from shared.failure_watch import FailureWatch, Punctuality, RestartLimit, Target

MS = 1_000_000
TICK = 100 * MS
A, B = Target(10, 1), Target(10, 2)


@dataclass
class Policy:
    health_check_timeout_ms: int = 500
    failure_threshold: int = 3
    max_restart_count: int = 2
    restart_window_sec: int = 60


class Watched:
    """A watch that is ticked."""

    def __init__(self) -> None:
        self.policy = Policy()
        self.watch = FailureWatch(lambda: self.policy, TICK)
        self.now = 0

    def ticks(self, count: int, fault: str, target: Target | None = A, step: int = TICK) -> int:
        """How many ticks found the process failed."""
        found = 0
        for _ in range(count):
            self.now += step
            found += self.watch.look(self.now, target, fault)
        return found


def test_fails_at_the_threshold_and_not_before() -> None:
    watched = Watched()
    watched.ticks(10, "")
    assert watched.ticks(10, "stalled") == 0  # at once, and after half a second
    assert watched.watch.failures == 2
    assert watched.ticks(1, "stalled") == 1


def test_the_first_check_comes_with_the_fault() -> None:
    watched = Watched()
    watched.ticks(13, "")
    watched.ticks(1, "stalled")
    assert watched.watch.failures == 1


def test_one_good_look_begins_anew() -> None:
    """Also between two checks: what beats now and then is slow, and lives."""
    watched = Watched()
    watched.ticks(10, "")
    for _ in range(50):
        assert watched.ticks(9, "stalled") == 0
        assert watched.ticks(1, "") == 0


def test_another_process_of_the_same_pid_begins_at_zero() -> None:
    watched = Watched()
    watched.ticks(25, "stalled", A)
    assert watched.watch.failures >= 3
    watched.ticks(1, "stalled", B)
    assert watched.watch.failures <= 1


def test_nobody_is_judged_where_nobody_is() -> None:
    assert Watched().ticks(100, "gone", None) == 0


def test_an_observer_that_was_late_does_not_judge() -> None:
    watched = Watched()
    watched.ticks(10, "")
    watched.policy.failure_threshold = 1
    watched.policy.health_check_timeout_ms = 10
    # It was stopped for ten seconds, and so sees an old heartbeat: twice it holds its tongue.
    watched.now += 10_000 * MS
    assert watched.ticks(2, "its heartbeat is old") == 0
    assert watched.ticks(1, "its heartbeat is old") == 1


def test_an_observer_that_is_always_late_never_judges() -> None:
    watched = Watched()
    watched.policy.failure_threshold = 1
    assert watched.ticks(100, "stalled", step=5 * TICK) == 0


def test_thresholds_are_live() -> None:
    watched = Watched()
    watched.policy.failure_threshold = 1000
    assert watched.ticks(100, "stalled") == 0
    watched.policy.failure_threshold = 1
    assert watched.ticks(11, "stalled") >= 1


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([100, 100, 100], True),
        ([100, 100], False),  # the first tick has none before it
        ([100, 100, 300, 100], False),
        ([100, 300, 100, 100], True),
        ([5000, 199, 199], True),
    ],
)
def test_punctuality(steps: list[int], verdict: bool) -> None:
    now, found = 0, False
    punctuality = Punctuality(TICK)
    for step in steps:
        now += step * MS
        found = punctuality.tick(now)
    assert found is verdict


def test_restart_limit_slides() -> None:
    policy = Policy()
    limit = RestartLimit(lambda: policy)
    assert not limit.exhausted(0)
    limit.note(0)
    limit.note(30_000 * MS)
    assert limit.exhausted(59_999 * MS)
    assert not limit.exhausted(60_000 * MS)
    limit.note(60_000 * MS)
    assert limit.exhausted(60_001 * MS)
    policy.max_restart_count = 3
    assert not limit.exhausted(60_001 * MS)
    policy.max_restart_count = 2
    limit.clear()
    assert not limit.exhausted(60_002 * MS)
    policy.max_restart_count = 0
    assert limit.exhausted(60_003 * MS)
