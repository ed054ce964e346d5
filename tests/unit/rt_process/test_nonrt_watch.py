from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rt_process.nonrt_watch import TICK_NS, Beat, NonRtWatch
from shared.config.models.failover_policy import FailoverPolicy
from shared.failure_watch import Target

MS = 1_000_000
SECOND = 20


@dataclass
class Scene:
    """A Non-RT process that can be stopped."""

    now: int = 10**9
    pid: int | None = 7
    beating: bool = True
    ready: bool = True
    allowed: bool = True
    heartbeat: int = 10**9
    killed: list[Target] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    policy: FailoverPolicy = field(default_factory=lambda: FailoverPolicy(max_restart_count=2))

    def __post_init__(self) -> None:
        self.watch = NonRtWatch(
            lambda: self.policy, self, lambda name, *_: self.logged.append(name), self.said.append
        )

    def beat(self) -> Beat | None:
        return None if self.pid is None else Beat(Target(self.pid, 1), self.heartbeat, self.ready)

    def kill(self, target: Target) -> bool:
        if not self.allowed:
            raise PermissionError(1, "Operation not permitted")
        self.killed.append(target)
        self.pid = None
        return True

    def run(self, turns: int, step: int = TICK_NS) -> None:
        for _ in range(turns):
            self.now += step
            if self.beating:
                self.heartbeat = self.now
            self.watch.turn(self.now)


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.run(2 * SECOND)
    return made


def test_who_beats_lives(scene: Scene) -> None:
    scene.run(100 * SECOND)
    assert not scene.killed


def test_a_stalled_one_is_killed_after_the_threshold(scene: Scene) -> None:
    scene.beating = False
    scene.run(SECOND + SECOND // 4)
    assert not scene.killed
    scene.run(SECOND // 2)
    assert scene.killed == [Target(7, 1)]
    assert scene.logged == ["NONRT_KILLED"]


def test_an_observer_that_was_late_judges_nobody(scene: Scene) -> None:
    scene.beating = False
    scene.run(100, step=500 * MS)
    assert not scene.killed


def use_up_the_limit(scene: Scene) -> None:
    """Process 9 is the one that is given up."""
    for pid in (8, 9):
        scene.beating = False
        scene.run(5 * SECOND)
        scene.pid, scene.beating = pid, True
        scene.run(SECOND)
    scene.beating = False
    scene.run(5 * SECOND)


def test_the_limit_ends_it_and_is_said_once(scene: Scene) -> None:
    use_up_the_limit(scene)
    scene.run(80 * SECOND)  # longer than the window: nobody has looked meanwhile
    scene.beating = True
    scene.run(5 * SECOND)
    scene.beating = False
    scene.run(20 * SECOND)
    assert [one.pid for one in scene.killed] == [7, 8]
    assert scene.logged.count("NONRT_GIVEN_UP") == 1
    assert sum("MANUAL_INTERVENTION" in line for line in scene.said) == 1
    assert any("kill -9 9 and `mxrc reset`" in line for line in scene.said)


def test_another_one_that_works_counts_anew(scene: Scene) -> None:
    use_up_the_limit(scene)
    scene.pid = None
    scene.run(SECOND)
    scene.pid, scene.beating, scene.ready = 10, True, False
    scene.run(5 * SECOND)
    scene.beating = False
    scene.run(5 * SECOND)  # it never worked: that is no end of the intervention
    assert [one.pid for one in scene.killed] == [7, 8]
    scene.pid, scene.beating, scene.ready = 11, True, True
    scene.run(SECOND)
    assert any("11 was started by hand" in line for line in scene.said)
    use_up_the_limit(scene)
    assert [one.pid for one in scene.killed] == [7, 8, 11, 8]
    assert scene.logged.count("NONRT_GIVEN_UP") == 2


def test_live_thresholds(scene: Scene) -> None:
    scene.policy = FailoverPolicy(failure_threshold=1000)
    scene.beating = False
    scene.run(20 * SECOND)
    assert not scene.killed
    scene.policy = FailoverPolicy(failure_threshold=1)
    scene.run(2 * SECOND)
    assert len(scene.killed) == 1


def test_absent_or_not_ours(scene: Scene) -> None:
    scene.pid = None
    scene.run(20 * SECOND)
    scene.pid, scene.beating, scene.allowed = 8, False, False
    scene.run(10 * SECOND)
    assert not scene.killed
    assert any("cannot be killed" in line for line in scene.said)
