"""Compiled blocks on the real executive, a cycle at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.config import Config
from shared.config.models.tasks import TaskDefinition
from shared.enums import EventKind, RtState, TaskStatus
from shared.events import format_event, message_id
from shared.segment import Segment
from tests.unit.shared.executive import SteppedExecutive
from tests.unit.shared.test_task_blocks import definition, if_, log, move, parallel, repeat, wait


class Run:
    """A definition that runs; what it has logged, and how it has ended."""

    def __init__(self, stepped: SteppedExecutive, content: Any, **asked: Any) -> None:
        self.stepped = stepped
        self.lines: list[str] = []
        self.ends: list[TaskStatus] = []
        stepped.run(20)
        stepped.start(TaskDefinition.model_validate(content), "mine", 5, **asked)

    def cycles(self, count: int) -> Run:
        assert self.stepped.run(count) == 0
        events = self.stepped.events.read(100_000).records
        resolve = self.stepped.names.resolve
        for one in events[events["message_id"] == message_id("TASK_LOG")]:
            self.lines.append(format_event(one["message_id"], one["args"], resolve))
        ended = events[(events["kind"] == EventKind.TASK) & (events["execution_id"] == 5)]
        self.ends += [TaskStatus(code) for code in ended["code"].tolist()]
        return self

    @property
    def status(self) -> TaskStatus:
        return self.ends[-1]


@pytest.fixture
def stepped(rt: Segment, nonrt: Segment, config: Config) -> Iterator[SteppedExecutive]:
    executive = SteppedExecutive(rt, nonrt, config)
    yield executive
    executive.close()


def say(name: str) -> dict[str, Any]:
    return log(name)


def test_rounds(stepped: SteppedExecutive) -> None:
    inner = repeat("inner", say("i"), wait("w", 0.002), count=2)
    run = Run(stepped, definition(repeat("outer", say("o"), inner, count=3), say("end")))
    run.cycles(200)
    assert run.lines == [*("o", "i", "i") * 3, "end"]
    assert run.status == TaskStatus.COMPLETED


def test_rounds_while(stepped: SteppedExecutive) -> None:
    """The round itself makes the condition false."""
    count = {"name": "set", "type": "set_value", "parameters": {"key": "parts.placed", "value": 1}}
    none = {"key": "parts.placed", "value": 0}
    zero = {**count, "name": "zero", "parameters": {"key": "parts.placed", "value": 0}}
    body = [say("round"), count, wait("w", 0.002)]
    run = Run(stepped, definition(zero, repeat("r", *body, **{"while": none}), say("end")))
    assert run.cycles(200).lines == ["round", "end"]


@pytest.mark.parametrize(("degrees", "lines"), [(70.0, ["hot", "end"]), (20.0, ["cold", "end"])])
def test_one_way_or_the_other(stepped: SteppedExecutive, degrees: float, lines: list[str]) -> None:
    stepped.store.write("cell.temperature", degrees)
    run = Run(stepped, definition(if_("i", [say("hot")], [say("cold")]), say("end")))
    assert run.cycles(50).lines == lines


def test_side_by_side(stepped: SteppedExecutive) -> None:
    branches = [[move("a", "base", 0.3), say("base")], [move("b", "elbow", 1.3), say("elbow")]]
    run = Run(stepped, definition(parallel("p", *branches), say("joined")))
    run.cycles(100)
    moving = (stepped.position(0), stepped.position(2))
    assert 0 < moving[0] < 0.3
    assert 1.2 < moving[1] < 1.3
    run.cycles(3000)
    assert (stepped.position(0), stepped.position(2)) == pytest.approx((0.3, 1.3), abs=1e-6)
    assert sorted(run.lines[:2]) == ["base", "elbow"]
    assert run.lines[2:] == ["joined"]
    assert run.status == TaskStatus.COMPLETED


def test_the_first_branch_is_enough(stepped: SteppedExecutive) -> None:
    branches = [[wait("a", 60), say("long")], [wait("b", 0.01), say("short")]]
    run = Run(stepped, definition(parallel("p", *branches, wait="first"), say("joined")))
    assert run.cycles(200).lines == ["short", "joined"]


def test_wait_for_a_key(stepped: SteppedExecutive) -> None:
    stepped.store.write("cell.part_ready", False)
    condition = {"key": "cell.part_ready", "value": True}
    step = {"name": "w", "type": "wait_for", "parameters": {"condition": condition}}
    run = Run(stepped, definition(step, say("ready")))
    assert run.cycles(100).lines == []
    stepped.store.write("cell.part_ready", True)
    assert run.cycles(20).lines == ["ready"]


@pytest.mark.parametrize(
    ("then", "lines", "status"),
    [
        ("fail", ["back"], TaskStatus.FAILED),
        ("continue", ["back", "end"], TaskStatus.COMPLETED),
    ],
)
@pytest.mark.parametrize("in_branch", [False, True])
def test_recovery(
    stepped: SteppedExecutive, then: str, lines: list[str], status: TaskStatus, in_branch: bool
) -> None:
    stepped.store.write("cell.part_ready", False)
    condition = {"key": "cell.part_ready", "value": True}
    step = {
        "name": "w",
        "type": "wait_for",
        "parameters": {"condition": condition},
        "timeout_ms": 20,
        "on_failure": {"recovery": "back", "then": then},
    }
    first = parallel("p", [step], [wait("other", 0.01)]) if in_branch else step
    run = Run(stepped, definition(first, say("end"), recovery={"back": [say("back")]}))
    run.cycles(300)
    assert (run.lines, run.status) == (lines, status)
    assert stepped.state == RtState.RUNNING


def test_via_points_are_passed_near(stepped: SteppedExecutive) -> None:
    parameters = {
        "target": {"base": 0.0},
        "via": [{"base": 0.3}, {"base": 0.6}, {"base": 0.4}],
        "velocity_scale": 0.5,
    }
    step = {"name": "m", "type": "move_joints", "parameters": parameters}
    run = Run(stepped, definition(step, say("end")))
    highest = 0.0
    for _ in range(1200):
        run.cycles(5)
        highest = max(highest, stepped.position(0))
        if run.lines:
            break
    assert run.lines == ["end"]
    assert 0.55 < highest <= 0.6 + 1e-6
    assert stepped.position(0) == pytest.approx(0.0, abs=1e-6)


def test_a_parameter_counts_the_rounds(stepped: SteppedExecutive) -> None:
    rounds = repeat("r", say("round"), wait("w", 0.002), count={"$param": "rounds"})
    content = definition(rounds, parameters={"rounds": {"type": "int64", "default": 1}})
    run = Run(stepped, content, parameters={"rounds": 4})
    assert run.cycles(100).lines == ["round"] * 4
