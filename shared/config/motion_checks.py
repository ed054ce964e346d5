"""Moves of a sequence against the limits of the axes.

A minimum-jerk move over a distance d in time T reaches the speed 1.875 d/T halfway and the
acceleration 10/sqrt(3) d/T^2 (Flash and Hogan, The Coordination of Arm Movements, 1985). The start
of an axis's first move is known only when it runs: the core checks that one.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator

from shared.config.base import Fault
from shared.config.errors import Loc
from shared.config.models.actions import MoveJoints, NamedPositions, Positions
from shared.config.models.robot import Axis, RobotConfig
from shared.config.models.tasks import Sequence

PEAK_VELOCITY = 1.875
PEAK_ACCELERATION = 10 / math.sqrt(3)

_ROUNDING = 1e-9


def shortest_duration_s(axis: Axis, distance: float) -> float:
    """Least time in s of a minimum-jerk move of `distance` (axis unit) within the axis's limits."""
    distance = abs(distance)
    return max(
        PEAK_VELOCITY * distance / axis.velocity_max,
        math.sqrt(PEAK_ACCELERATION * distance / axis.acceleration_max),
    )


def motion_faults(sequence: Sequence, robot: RobotConfig) -> Iterator[Fault]:
    """Targets that the robot does not have or may not reach, and moves that are too fast."""
    known: dict[int, float] = {}
    for index, action in enumerate(sequence.actions):
        if not isinstance(action, MoveJoints):
            continue
        place = ("sequence", "actions", index, "parameters")
        faults, targets = axis_targets(action.parameters.target, robot, (*place, "target"))
        duration_s = action.parameters.duration_s
        needed_s = max(
            (
                shortest_duration_s(robot.axes[axis], position - known[axis])
                for axis, position in targets.items()
                if axis in known
            ),
            default=0.0,
        )
        if not faults and duration_s is not None and duration_s < needed_s * (1 - _ROUNDING):
            faults.append(
                Fault(
                    (*place, "duration_s"),
                    f"must be at least {math.ceil(needed_s * 1000) / 1000:g} s for this distance",
                    "the limits of the axes in robot.json ask for it; or use velocity_scale",
                )
            )
        yield from faults
        # After an action that may be skipped the axes can be anywhere.
        known = {} if action.on_failure == "skip" else known | targets


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
            names = ", ".join(robot.axis_index)
            close = difflib.get_close_matches(str(part), robot.axis_index, 1)
            faults.append(
                Fault(
                    (*place, part),
                    f"must be for an axis of robot.json: {names}",
                    f"did you mean {close[0]}?" if close else "",
                )
            )
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
