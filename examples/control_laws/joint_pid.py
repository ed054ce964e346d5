"""A PID controller for each joint, as joint_pid.c.

Parameters: kp (N m/rad), ki (N m/(rad s)), kd (N m s/rad), bound of the integral's effort (N m).
"""

from __future__ import annotations

from typing import Any

from shared.law import AXES, control_law


@control_law(command="effort", state=AXES, parameters=4)
def joint_pid(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    kp, ki, kd, bound = parameters[0], parameters[1], parameters[2], parameters[3]
    for i in range(inputs.axes):
        error = inputs.setpoint[i] - inputs.position[i]
        slope = inputs.setpoint_velocity[i] - inputs.velocity[i]
        state[i] = min(max(state[i] + ki * error * inputs.dt, -bound), bound)
        command[i] = kp * error + kd * slope + state[i]
    return 0


@joint_pid.on_init
def check(state: Any, parameters: Any, axes: Any, dt: Any) -> int:
    # Written so that NaN is refused, too.
    if parameters[0] > 0 and parameters[1] >= 0 and parameters[2] >= 0 and parameters[3] >= 0:
        return 0
    return 1


@joint_pid.on_reset
def start(state: Any, parameters: Any, inputs: Any) -> None:
    for i in range(inputs.axes):
        state[i] = 0.0
