"""The axes of robot.json as the core wants them. Needs no numpy."""

from __future__ import annotations

from typing import Any, Final

from shared.config.models.robot import Axis, RobotConfig
from shared.core import ffi, from_text
from shared.enums import SafeAction

_NAME_BYTES: Final = int(ffi.typeof("struct mxrc_axis_config").fields[0][1].type.length)
_SAFE_ACTIONS: Final = {
    "hold": SafeAction.HOLD,
    "ramp": SafeAction.RAMP,
    "goto": SafeAction.GOTO,
}


def axis_fields(axis: Axis) -> dict[str, Any]:
    """Fields of a struct mxrc_axis_config."""
    return {
        "name": from_text(axis.name, _NAME_BYTES),
        "position_min": axis.position_min,
        "position_max": axis.position_max,
        "velocity_max": axis.velocity_max,
        "acceleration_max": axis.acceleration_max,
        "effort_max": axis.effort_max,
        "home": axis.home,
        "safe_value": axis.safe_value if axis.safe_value is not None else 0.0,
        "safe_action": int(_SAFE_ACTIONS[axis.safe_action]),
    }


def axis_configs(robot: RobotConfig) -> Any:
    """A struct mxrc_axis_config[] with an element per axis."""
    return ffi.new("struct mxrc_axis_config[]", [axis_fields(axis) for axis in robot.axes])
