"""robot.json: the axes of the machine, their limits, the control law, and the driver behind it."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting
from shared.config.models.driver import MAX_TASK_LAWS, Driver, Law, TaskLaw
from shared.config.models.names import ShortName

MAX_AXES = 8
_FAR = 1e9

SafeAction = Literal["hold", "ramp", "goto"]


class Axis(ConfigModel):
    """One axis: its limits and what it does when it has to be safe."""

    name: ShortName = setting(
        meaning="Name of the axis; tasks may use it in targets.",
        trouble="Two axes of one name are refused.",
    )
    unit: Literal["rad", "m"] = setting(
        "rad",
        meaning="Unit of its positions: rad for a revolute joint, m for a linear one.",
        trouble="It labels values; it converts nothing.",
    )
    position_min: float = setting(
        ge=-_FAR,
        le=_FAR,
        meaning="Lowest position, in its unit.",
        trouble="Set-points beyond it are refused at load and limited in the core.",
    )
    position_max: float = setting(
        ge=-_FAR,
        le=_FAR,
        meaning="Highest position, in its unit; above position_min.",
        trouble="As position_min.",
    )
    velocity_max: float = setting(
        gt=0,
        le=_FAR,
        meaning="Highest speed, unit/s.",
        trouble="A move that has to be faster is refused: lengthen its duration_s.",
    )
    acceleration_max: float = setting(
        gt=0,
        le=_FAR,
        meaning="Highest acceleration, unit/s^2; ramps to a stop use it too.",
        trouble="Low values lengthen the way to a stop.",
    )
    effort_max: float = setting(
        gt=0,
        le=_FAR,
        meaning="Highest effort: N m for rad, N for m.",
        trouble="Control laws are limited to it.",
    )
    home: float = setting(
        0.0,
        ge=-_FAR,
        le=_FAR,
        meaning="Position at a clean start, in its unit; within the limits.",
        trouble="Outside the limits it is refused.",
    )
    safe_action: SafeAction = setting(
        "ramp",
        meaning=(
            "In SAFE_MODE and ERROR: hold the set-point, ramp to a stop within its limits, or "
            "goto safe_value."
        ),
        trouble="hold stops at once, as hard as the drive can; goto moves the machine.",
    )
    safe_value: float | None = setting(
        None,
        ge=-_FAR,
        le=_FAR,
        meaning="goto: where to go, in its unit; required by goto, not allowed with the others.",
        trouble="Outside the limits it is refused.",
    )

    def faults(self) -> list[Fault]:
        """Rules between the fields of one axis."""
        low, high = self.position_min, self.position_max
        if low >= high:
            return [Fault(("position_min",), f"must be below position_max ({high:g})")]
        inside = f"must be from position_min ({low:g}) to position_max ({high:g})"
        faults = []
        if not low <= self.home <= high:
            faults.append(Fault(("home",), inside))
        if self.safe_action == "goto":
            if self.safe_value is None:
                faults.append(Fault(("safe_value",), "must be given with safe_action goto"))
            elif not low <= self.safe_value <= high:
                faults.append(Fault(("safe_value",), inside))
        elif self.safe_value is not None:
            faults.append(
                Fault(("safe_value",), f"must be left out with safe_action {self.safe_action}")
            )
        return faults


class RobotConfig(ConfigFile):
    """The axes of the machine, their limits, the control law, and the driver behind it."""

    driver: Driver = setting(
        default_factory=Driver,
        meaning="What the outputs go to.",
        trouble="An unknown driver is refused.",
    )
    law: Law = setting(
        default_factory=Law,
        meaning="The control law between set-points and outputs.",
        trouble="What cannot be loaded is refused.",
    )
    task_laws: tuple[TaskLaw, ...] = setting(
        (),
        max_length=MAX_TASK_LAWS,
        meaning="Control laws and actions of the user's own that tasks may run.",
        trouble="One that cannot be loaded is refused at the start; a change needs a restart.",
    )
    axes: tuple[Axis, ...] = setting(
        min_length=1,
        max_length=MAX_AXES,
        meaning="The axes, in the order of set-points and positions everywhere else.",
        trouble="More than eight do not fit into a cycle record.",
    )

    @property
    def axis_index(self) -> dict[str, int]:
        """Name of each axis -> its index in `axes`."""
        return {axis.name: index for index, axis in enumerate(self.axes)}

    @property
    def task_law_index(self) -> dict[str, int]:
        """Name of each law for tasks -> its handle, the index in `task_laws`."""
        return {law.name: index for index, law in enumerate(self.task_laws)}

    @model_validator(mode="after")
    def _rules(self) -> RobotConfig:
        faults = []
        names: set[str] = set()
        for index, axis in enumerate(self.axes):
            place = ("axes", index)
            faults += [fault._replace(loc=place + fault.loc) for fault in axis.faults()]
            if axis.name in names:
                faults.append(Fault((*place, "name"), "must be a name that no other axis has"))
            names.add(axis.name)
        laws: set[str] = set()
        for index, law in enumerate(self.task_laws):
            if law.name in laws:
                faults.append(
                    Fault(("task_laws", index, "name"), "must be a name that no other of them has")
                )
            laws.add(law.name)
        if faults:
            refuse(*faults)
        return self
