"""A six-axis arm in MuJoCo as a plant of mxrc: inputs and outputs at 1 kHz.

    python plant.py [--name arm] [--seconds 30] [--plot tracking.png]

The motors are torque motors with drives around them, as on a real arm: a command of effort goes to
the motor (beside compensation of gravity, which the drive does), a command of position to the
drive's own loop, and when outputs are to be safe, or have stopped, the drive holds the joint where
it was.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from shared.enums import ImageCommand, ImageTake
from shared.process_image import Outputs, Plant

HERE = Path(__file__).resolve().parent
PERIOD_S = 0.001
HOME = (0.0, -0.6, 1.2, 0.0, 0.9, 0.0)
"""The homes of config/robot.json, rad."""
BANDWIDTH = 40.0
"""Of the drives' position loops, rad/s."""

Doubles = NDArray[np.float64]


class Arm:
    """The simulated arm with its drives."""

    def __init__(self) -> None:
        self.model = mujoco.MjModel.from_xml_path(str(HERE / "arm.xml"))
        self.data = mujoco.MjData(self.model)
        self.data.qpos[:] = HOME
        mujoco.mj_forward(self.model, self.data)
        self._limit = self.model.actuator_ctrlrange[:, 1].copy()
        self.axes = int(self.model.nv)

    def step(self, outputs: Outputs) -> Doubles:
        """One period under `outputs`; returns the motors' torques without gravity, N m."""
        if outputs.kind is ImageCommand.EFFORT:
            torque = outputs.command
        else:
            torque = self._position_loop(outputs.command)
        applied = torque + self.data.qfrc_bias
        self.data.ctrl[:] = np.clip(applied, -self._limit, self._limit)
        mujoco.mj_step(self.model, self.data)
        return np.asarray(torque, np.float64)

    def _position_loop(self, target: Doubles) -> Doubles:
        """Computed torque: critically damped with BANDWIDTH whatever the arm's posture."""
        error = target - self.data.qpos
        wanted = BANDWIDTH**2 * error - 2 * BANDWIDTH * self.data.qvel
        torque = np.zeros(self.axes)
        mujoco.mj_mulM(self.model, self.data, torque, wanted)
        return torque


def run(plant: Plant, arm: Arm, seconds: float, stop: list[bool]) -> dict[str, Any]:
    """Until `seconds` have passed or stop[0]; returns what happened, a row per period."""
    rows: list[tuple[float, ...]] = []
    counts = dict.fromkeys(ImageTake, 0)
    start = time.monotonic()
    due = start
    torque = np.zeros(arm.axes)
    while not stop[0] and due - start < seconds:
        plant.write(arm.data.qpos, arm.data.qvel, torque)
        outputs = plant.read()
        counts[outputs.take] += 1
        torque = arm.step(outputs)
        rows.append((due - start, int(outputs.kind), *arm.data.qpos, *outputs.command))
        due += PERIOD_S
        pause = due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        elif pause < -0.05:
            due = time.monotonic()  # too late to catch up: simulated time stands still meanwhile
    return {"counts": {take.name: count for take, count in counts.items()}, "rows": np.array(rows)}


def plot(rows: Doubles, axes: int, path: Path) -> None:
    """Position, and command where it is one, over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    time_s, kind = rows[:, 0], rows[:, 1]
    figure, panels = plt.subplots(axes, 1, sharex=True, figsize=(8, 1.5 * axes))
    for axis, panel in enumerate(panels):
        command = np.where(kind == ImageCommand.EFFORT, np.nan, rows[:, 2 + axes + axis])
        panel.plot(time_s, command, label="command", linewidth=2, alpha=0.5)
        panel.plot(time_s, rows[:, 2 + axis], label="measured")
        panel.set_ylabel(f"axis {axis} / rad")
    panels[0].legend(loc="upper right")
    panels[-1].set_xlabel("time / s")
    figure.tight_layout()
    figure.savefig(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--name", default="arm", help="of the process image")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--plot", type=Path, metavar="PNG")
    options = parser.parse_args()
    stop = [False]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.__setitem__(0, True))
    arm = Arm()
    with Plant(options.name, arm.axes, watchdog_s=0.1) as plant:
        print(f"plant {options.name}: {arm.axes} axes, {PERIOD_S * 1000:g} ms", flush=True)
        result = run(plant, arm, options.seconds, stop)
    print(" ".join(f"{take.lower()} {count}" for take, count in result["counts"].items()))
    print("position " + " ".join(f"{value:.4f}" for value in arm.data.qpos))
    if options.plot is not None and len(result["rows"]):
        plot(result["rows"], arm.axes, options.plot)
        print(f"wrote {options.plot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
