"""Which axes each step drives: branches side by side must not share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shared.config.base import Fault
from shared.config.errors import Loc
from shared.config.models.actions import ControlLaw, Failing, Hold, MoveJoints, Recovery
from shared.config.models.blocks import Action, Block, Parallel, walk
from shared.config.models.robot import RobotConfig
from shared.config.models.tasks import TaskDefinition
from shared.config.motion_checks import axis_targets, near_axis


def axis_faults(task: TaskDefinition, robot: RobotConfig) -> Iterator[Fault]:
    """Unknown axes of holds, axes in two branches, holds in a branch that drives nothing."""
    for place, step in task.steps():
        if isinstance(step, (Hold, ControlLaw)):
            for index, name in enumerate(step.parameters.axes or ()):
                if name not in robot.axis_index:
                    yield near_axis(name, robot, (*place, "parameters", "axes", index))
        elif isinstance(step, Parallel):
            yield from _branch_faults(step, task, robot, place)


def _branch_faults(
    block: Parallel, task: TaskDefinition, robot: RobotConfig, place: Loc
) -> Iterator[Fault]:
    taken = 0
    for index, branch in enumerate(block.branches):
        where = (*place, "branches", index)
        driven = driven_axes(branch, robot, task.recovery)
        if driven & taken:
            shared = [axis.name for at, axis in enumerate(robot.axes) if (driven & taken) >> at & 1]
            yield Fault(where, f"must not drive axes of another branch: {', '.join(shared)}")
        taken |= driven
        for inner, step in walk(branch, where):
            if isinstance(step, Hold) and step.parameters.axes is None and not driven:
                yield Fault(
                    (*inner, "parameters", "axes"), "must be given in a branch that moves nothing"
                )


def driven_axes(
    steps: tuple[Action | Block, ...],
    robot: RobotConfig,
    recovery: Mapping[str, tuple[Action | Block, ...]],
) -> int:
    """Bit mask of the axes that steps name, and the recovery sequences that they lead to."""
    mask = 0
    for _, step in walk(steps, ()):
        if isinstance(step, Failing) and isinstance(step.on_failure, Recovery):
            mask |= driven_axes(recovery.get(step.on_failure.recovery, ()), robot, {})
        if isinstance(step, MoveJoints):
            for axis in axis_targets(step.parameters.target, robot)[1]:
                mask |= 1 << axis
        elif isinstance(step, (Hold, ControlLaw)):
            for name in step.parameters.axes or ():
                mask |= 1 << robot.axis_index.get(name, 0)
    return mask
