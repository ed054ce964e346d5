"""Moves of a sequence against the limits of the axes.

A minimum-jerk move over a distance d in time T reaches the speed 1.875 d/T halfway and the
acceleration 10/sqrt(3) d/T^2 (Flash and Hogan, The Coordination of Arm Movements, 1985). The start
of an axis's first move is known only when it runs: the core checks that one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from itertools import pairwise

from shared.config.base import Fault
from shared.config.errors import Loc
from shared.config.models.actions import ControlLaw, Failing, MoveJoints, NamedPositions, Positions
from shared.config.models.blocks import Action, Block, If, Parallel, Repeat
from shared.config.models.robot import Axis, RobotConfig
from shared.config.models.tasks import TaskDefinition

PEAK_VELOCITY = 1.875
PEAK_ACCELERATION = 10 / math.sqrt(3)

_ROUNDING = 1e-9


def shortest_duration_s(axis: Axis, distance: float, profile: str = "minimum_jerk") -> float:
    """Least time in s of a move of `distance` (axis unit) from rest to rest within its limits."""
    distance = abs(distance)
    velocity, acceleration = axis.velocity_max, axis.acceleration_max
    if profile == "trapezoidal":
        if distance * acceleration < velocity * velocity:
            return 2 * math.sqrt(distance / acceleration)
        return distance / velocity + velocity / acceleration
    return max(
        PEAK_VELOCITY * distance / velocity, math.sqrt(PEAK_ACCELERATION * distance / acceleration)
    )


Known = dict[int, float]
"""Axis index -> position, where it is certain."""


def motion_faults(task: TaskDefinition, robot: RobotConfig) -> Iterator[Fault]:
    """Targets that the robot does not have or may not reach, and moves that are too fast.

    A round of a repeat is looked at twice: from before the block, and from its own end.
    """
    found: dict[Loc, Fault] = {}
    checker = _Checker(robot, found)
    checker.steps(task.sequence.actions, ("sequence", "actions"), {})
    for name, steps in task.recovery.items():
        checker.steps(steps, ("recovery", name), {})
    yield from found.values()


class _Checker:
    """Follows positions through the steps. Each method returns what is known behind them."""

    def __init__(self, robot: RobotConfig, found: dict[Loc, Fault]) -> None:
        self.robot = robot
        self.found = found

    def steps(self, steps: tuple[Action | Block, ...], place: Loc, known: Known) -> Known:
        for index, step in enumerate(steps):
            known = self.step(step, (*place, index), known)
        return known

    def step(self, step: Action | Block, place: Loc, known: Known) -> Known:
        if isinstance(step, MoveJoints):
            known = self.move(step, place, known)
        elif isinstance(step, ControlLaw):
            moved = {self.robot.axis_index.get(name) for name in step.parameters.axes}
            known = {axis: position for axis, position in known.items() if axis not in moved}
        elif isinstance(step, If):
            one = self.steps(step.then, (*place, "then"), known)
            other = self.steps(step.else_ or (), (*place, "else"), known)
            return _common(one, other)
        elif isinstance(step, Repeat):
            first = self.steps(step.actions, (*place, "actions"), known)
            again = self.steps(step.actions, (*place, "actions"), first)
            return _common(known, again) if step.while_ is not None else again
        elif isinstance(step, Parallel):
            known = self.parallel(step, place, known)
        # After a step that may be skipped, or recovered from, the axes can be anywhere.
        failing = isinstance(step, Failing) and step.on_failure not in ("fail", "safe_mode")
        return {} if failing else known

    def parallel(self, block: Parallel, place: Loc, known: Known) -> Known:
        behind = dict(known)
        for index, branch in enumerate(block.branches):
            after = self.steps(branch, (*place, "branches", index), known)
            for axis in set(known) | set(after):
                if after.get(axis) != known.get(axis):
                    behind.pop(axis, None)
                    if axis in after and block.wait == "all":
                        behind[axis] = after[axis]
        return behind

    def move(self, action: MoveJoints, place: Loc, known: Known) -> Known:
        parameters, place = action.parameters, (*place, "parameters")
        faults, targets = axis_targets(parameters.target, self.robot, (*place, "target"))
        points = []
        for index, via in enumerate(parameters.via):
            where = (*place, "via", index)
            wrong, point = axis_targets(via, self.robot, where)
            if not wrong and set(point) != set(targets):
                wrong.append(Fault(where, "must be of the same axes as target"))
            faults += wrong
            points.append(point)
        if not faults:
            faults += self.duration(action, place, [known, *points, targets])
        for fault in faults:
            self.found.setdefault(fault.loc, fault)
        return known | targets

    def duration(self, action: MoveJoints, place: Loc, path: list[Known]) -> list[Fault]:
        """With via points, which are passed in motion, only the velocity limits are certain."""
        asked_s = action.parameters.duration_s
        needed_s = 0.0
        for axis in path[-1]:
            limits = self.robot.axes[axis]
            points = [point[axis] for point in path if axis in point]
            way = sum(abs(after - before) for before, after in pairwise(points))
            if len(path) > 2:
                needed_s = max(needed_s, way / limits.velocity_max)
            else:
                needed_s = max(
                    needed_s, shortest_duration_s(limits, way, action.parameters.profile)
                )
        if asked_s is None or asked_s >= needed_s * (1 - _ROUNDING):
            return []
        return [
            Fault(
                (*place, "duration_s"),
                f"must be at least {math.ceil(needed_s * 1000) / 1000:g} s for this distance",
                "the limits of the axes in robot.json ask for it; or use velocity_scale",
            )
        ]


def _common(one: Known, other: Known) -> Known:
    return {axis: position for axis, position in one.items() if other.get(axis) == position}


def near_axis(name: object, robot: RobotConfig, place: Loc) -> Fault:
    """The fault of a name that is no axis."""
    close = difflib.get_close_matches(str(name), robot.axis_index, 1)
    return Fault(
        place,
        f"must be for an axis of robot.json: {', '.join(robot.axis_index)}",
        f"did you mean {close[0]}?" if close else "",
    )


def axis_targets(
    target: Positions | NamedPositions, robot: RobotConfig, place: Loc = ()
) -> tuple[list[Fault], dict[int, float]]:
    """Faults, and the position of each axis index that is right."""
    if isinstance(target, dict):
        named = [(name, robot.axis_index.get(name), value) for name, value in target.items()]
    elif len(target) == len(robot.axes):
        named = [(index, index, value) for index, value in enumerate(target)]  # type: ignore[misc]
    else:
        return [
            Fault(
                place,
                f"must have {len(robot.axes)} positions, one for each axis of robot.json",
                "or name the axes: {axis: position}",
            )
        ], {}
    faults: list[Fault] = []
    targets: dict[int, float] = {}
    for part, axis_index, position in named:
        if axis_index is None:
            faults.append(near_axis(part, robot, (*place, part)))
            continue
        axis = robot.axes[axis_index]
        if axis.position_min <= position <= axis.position_max:
            targets[axis_index] = position
        else:
            faults.append(
                Fault(
                    (*place, part),
                    f"must be within the limits of {axis.name}: from {axis.position_min:g} to "
                    f"{axis.position_max:g} {axis.unit}",
                )
            )
    return faults, targets
