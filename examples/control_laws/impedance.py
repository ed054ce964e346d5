"""Each joint behaves like a spring and a damper around its set-point, as impedance.c.

Hogan, J. Dynamic Systems, Measurement, and Control 107(1), 1985.
Parameters: stiffness (N m/rad), damping (N m s/rad), inertia that the set-point's acceleration is
multiplied by (kg m^2).
"""

from __future__ import annotations

from typing import Any

from shared.law import control_law


@control_law(command="effort", parameters=3)
def impedance(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    for i in range(inputs.axes):
        error = inputs.setpoint[i] - inputs.position[i]
        slope = inputs.setpoint_velocity[i] - inputs.velocity[i]
        command[i] = parameters[0] * error + parameters[1] * slope
        command[i] += parameters[2] * inputs.setpoint_acceleration[i]
    return 0


@impedance.on_init
def check(state: Any, parameters: Any, axes: Any, dt: Any) -> int:
    if parameters[0] >= 0 and parameters[1] > 0 and parameters[2] >= 0:
        return 0
    return 1
