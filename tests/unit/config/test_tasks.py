from __future__ import annotations

from typing import Any

import pytest

from shared.config.motion_checks import PEAK_ACCELERATION, PEAK_VELOCITY, shortest_duration_s
from tests.unit.config.conftest import Files

WAIT = {"name": "pause", "type": "wait", "parameters": {"duration_s": 0.5}}


def _task(*actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    sequence = {"name": "s", "actions": list(actions) or [WAIT]}
    task = {"id": "t", "sequence": sequence, **fields}
    return {key: value for key, value in task.items() if value is not None}


def _action(type_: str, parameters: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "step", "type": type_, "parameters": parameters, **fields}


def _move(target: Any, name: str = "step", **fields: Any) -> dict[str, Any]:
    parameters = {"target": target, **(fields or {"velocity_scale": 0.5})}
    return {"name": name, "type": "move_joints", "parameters": parameters}


ACTION = "sequence.actions[0]"
HOME = [0.0, -0.6, 1.2, 0.0, 0.9, 0.0]


@pytest.mark.parametrize(
    ("task", "place", "allowed"),
    [
        (_task(id=None), "id", "if and only if the other"),
        (_task(pattern="t*"), "pattern", "if and only if the other"),
        (_task(id=None, pattern="abc"), "pattern", "a '*' or a '?'"),
        (_task(id="a/b"), "id", "an id of at most 55"),
        (_task(mode="periodic"), "period_ms", "given with mode periodic"),
        (_task(mode="triggered"), "trigger", "given with mode triggered"),
        (_task(mode="always"), "mode", '"once", "periodic", "triggered"'),
        (_task(on_restart="retry"), "on_restart", '"resume", "restart", "fail"'),
        (_task(sequence={"name": "s", "actions": []}), "sequence.actions", "1 to 62"),
        (_task(WAIT, WAIT), "sequence.actions[1].name", "no other step"),
        (
            _task(_action("fly", {})),
            ACTION + ".type",
            '"emit_event", "hold", "if", "log", "move_joints"',
        ),
        (_task({"name": "x", "parameters": {}}), ACTION + ".type", 'one of "control_law"'),
        (_task(_action("wait", {})), ACTION + ".parameters.duration_s", "above 0"),
        (_task(_action("wait", {"duration_s": -1})), ACTION + ".parameters.duration_s", "above 0"),
        (_task(_action("wait", {"duration_s": 1, "x": 1})), ACTION + ".parameters.x", "known key"),
        (_task({**WAIT, "timeout_ms": 500}), ACTION + ".timeout_ms", "above the duration (500 ms)"),
        (_task({**WAIT, "on_failure": "retry"}), ACTION + ".on_failure", '"fail", "skip"'),
        (_task({**WAIT, "retries": 101}), ACTION + ".retries", "from 0 to 100"),
        (_task(_action("log", {"message": ""})), ACTION + ".parameters.message", "1 to 255"),
        (_task(_action("safe_stop", {"now": True})), ACTION + ".parameters.now", "known key"),
        (
            _task(_move(HOME, duration_s=1, velocity_scale=1)),
            ACTION + ".parameters.velocity_scale",
            "if and only if",
        ),
        (
            _task(_move(HOME, profile="minimum_jerk")),
            ACTION + ".parameters.duration_s",
            "if and only if",
        ),
        (
            _task(_move(HOME, velocity_scale=1.5)),
            ACTION + ".parameters.velocity_scale",
            "at most 1",
        ),
        (_task(_move("home")), ACTION + ".parameters.target", "a position for each axis"),
        (_task(_move([])), ACTION + ".parameters.target", "a position for each axis"),
        (_task(_move(["x"])), ACTION + ".parameters.target[0]", "a number"),
        (_task(_move(HOME[:5])), ACTION + ".parameters.target", "must have 6 positions"),
        (
            _task(_move([*HOME[:5], 3.2])),
            ACTION + ".parameters.target[5]",
            "within the limits of flange: from -3.1 to 3.1 rad",
        ),
        (_task(_move({"elbow": -2.7})), ACTION + ".parameters.target.elbow", "limits of elbow"),
        (_task(_move({"knee": 0})), ACTION + ".parameters.target.knee", "an axis of robot.json"),
        (
            _task(_action("set_output", {"key": "nope", "value": 1})),
            ACTION + ".parameters.key",
            "a key of datastore.json",
        ),
        (
            _task(_action("set_output", {"key": "cell.temperature", "value": 1.0})),
            ACTION + ".parameters.key",
            "whose writer is rt",
        ),
        (
            _task(_action("set_output", {"key": "gripper.closed", "value": 1})),
            ACTION + ".parameters.value",
            "true or false",
        ),
        (
            _task(_action("set_output", {"key": "parts.placed", "value": -1})),
            ACTION + ".parameters.value",
            "from 0 to inf",
        ),
        (
            _task(mode="triggered", trigger={"key": "nope", "value": True}),
            "trigger.key",
            "a key of datastore.json",
        ),
        (
            _task(mode="triggered", trigger={"key": "program.name", "value": True}),
            "trigger.key",
            "double[N], not string",
        ),
        (
            _task(mode="triggered", trigger={"key": "cell.part_ready", "op": "<", "value": True}),
            "trigger.op",
            "for a key of type bool",
        ),
        (
            _task(mode="triggered", trigger={"key": "cell.part_ready", "value": 1}),
            "trigger.value",
            "the key's type, bool",
        ),
        (
            _task(mode="triggered", trigger={"key": "parts.placed", "value": 1.5}),
            "trigger.value",
            "the key's type, int64",
        ),
    ],
)
def test_wrong_task(files: Files, task: Any, place: str, allowed: str) -> None:
    files.write("tasks/demo", task)
    problems = files.problems()
    assert [problem.json_path for problem in problems] == ["$." + place]
    assert allowed in problems[0].allowed
    assert problems[0].file == str(files.path("tasks/demo"))


def test_every_kind_of_action(files: Files) -> None:
    files.write(
        "tasks/demo",
        _task(
            {**_move(HOME, "a"), "retries": 2, "backoff_ms": 50, "timeout_ms": 9000},
            _move({"base": 1, "elbow": 1.0}, "b", duration_s=3),
            {**WAIT, "name": "c"},
            {**_action("hold", {"duration_s": 1}), "name": "d"},
            {**_action("log", {"message": "hello", "level": "warn"}), "name": "e"},
            {**_action("set_output", {"key": "gripper.closed", "value": True}), "name": "f"},
            {**_action("safe_stop", {}), "name": "g", "on_failure": "safe_mode"},
            {"name": "h", "type": "safe_stop"},
            mode="triggered",
            trigger={"key": "cell.temperature", "op": ">", "value": 80, "on": "level"},
            parameters={"speed": 0.5, "count": 3, "name": "x", "fast": False},
            priority=90,
            on_restart="fail",
            on_safe_mode="restart",
        ),
    )
    task = files.load().tasks["t"]
    kinds = [action.type for action in task.sequence.actions]
    assert kinds[:2] == ["move_joints", "move_joints"]
    assert kinds[2:] == ["wait", "hold", "log", "set_output", "safe_stop", "safe_stop"]
    assert task.parameters == {"speed": 0.5, "count": 3, "name": "x", "fast": False}


def test_period_is_a_multiple_of_the_cycle(files: Files) -> None:
    files.write("rt_schedule", {"period_us": 300})
    files.write("tasks/demo", _task(mode="periodic", period_ms=3))
    files.load()
    files.write("tasks/demo", _task(mode="periodic", period_ms=2))
    problem = files.problem()
    assert (problem.json_path, problem.hint) == ("$.period_ms", "use multiples of 3")


def test_a_move_that_is_too_fast(files: Files) -> None:
    axis = files.load().robot.axes[0]
    needed = shortest_duration_s(axis, 2.0)
    start, end = [-1.0, *HOME[1:]], [1.0, *HOME[1:]]
    exact = _task(_move(start, "a"), _move(end, "b", duration_s=needed))
    files.write("tasks/demo", exact)
    files.load()
    files.write("tasks/demo", _task(_move(start, "a"), _move(end, "b", duration_s=needed * 0.99)))
    problem = files.problem()
    assert problem.json_path == "$.sequence.actions[1].parameters.duration_s"
    # Where the arm is when the first move begins is not known at load.
    files.write("tasks/demo", _task(_move(end, "b", duration_s=0.001)))
    files.load()
    # Nor where it is after a move that may have been skipped.
    skipped = {**_move(start, "a"), "on_failure": "skip"}
    files.write("tasks/demo", _task(skipped, _move(end, "b", duration_s=0.001)))
    files.load()


def test_peaks_are_those_of_the_minimum_jerk_polynomial() -> None:
    # x(s) = 10 s^3 - 15 s^4 + 6 s^5, s in 0..1
    grid = [step / 10_000 for step in range(10_001)]
    velocity = max(30 * s**2 - 60 * s**3 + 30 * s**4 for s in grid)
    acceleration = max(60 * s - 180 * s**2 + 120 * s**3 for s in grid)
    assert velocity == pytest.approx(PEAK_VELOCITY, rel=1e-6)
    assert acceleration == pytest.approx(PEAK_ACCELERATION, rel=1e-6)


def test_two_definitions_of_one_id(files: Files) -> None:
    files.write("tasks/other", files.read("tasks/demo"))
    problem = files.problem()
    assert (problem.json_path, problem.value) == ("$.id", '"demo"')
    assert str(files.path("tasks/demo")) in problem.hint


def test_the_most_specific_pattern_wins(files: Files) -> None:
    for name, pattern in (("p1", "*"), ("p2", "weld_*"), ("p3", "weld_??"), ("p4", "weld_a*")):
        files.write(f"tasks/{name}", _task(id=None, pattern=pattern))
    config = files.load()

    def pattern_of(task_id: str) -> str | None:
        task = config.find_task(task_id)
        assert task is not None
        return task.pattern

    assert pattern_of("x") == "*"
    assert pattern_of("weld_12") == "weld_*"  # of equals the first by name
    assert pattern_of("weld_a1") == "weld_a*"
    assert pattern_of("task_1") == "task_*"
