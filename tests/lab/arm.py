"""A plant behind a process image: its axes are where they are told to be; it notes what it is told.

usage: arm.py NAME AXES PERIOD_S FILE. Ends on SIGTERM and then writes FILE; `account` reads it.
Also run as it is in the virtual machine, so it imports nothing of the tests.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.enums import ImageTake
from shared.process_image import Plant

WATCHDOG_S: Final = 0.1  # less than the fastest restart takes
AMPLITUDE: Final = 0.8  # rad
AXIS: Final = "base"
Row = tuple[float, int, int, float]
"""(monotonic s, cycle, epoch, command of the first axis in rad); epoch 0: it was made to hold."""


def sweep(name: str, rounds: int, lasts_s: float) -> dict[str, Any]:
    """A task file: the first axis from 0 to AMPLITUDE and back, so many rounds without a rest."""
    moves = [
        {
            "name": where,
            "type": "move_joints",
            "parameters": {"target": {AXIS: target}, "duration_s": lasts_s},
            "timeout_ms": 600_000,
        }
        for where, target in (("there", AMPLITUDE), ("back", 0.0))
    ]
    repeat = {"name": "rounds", "type": "repeat", "count": rounds, "actions": moves}
    sequence = {"name": "sweep", "actions": [repeat]}
    return {"id": name, "on_restart": "resume", "on_safe_mode": "resume", "sequence": sequence}


def account(rows: list[Row], period_s: float) -> dict[str, Any]:
    """What the arm was made to do.

    outages: of each change of the PRIMARY: seconds from its last commit to the first that moves,
    the speed before it (rad/s), and the step between the commits on both sides (rad).
    fastest: the greatest speed within an epoch (rad/s). rounds: how often it went there and back.
    held: how often the plant's watchdog made it hold. backwards: epochs after a later one.
    """
    found: dict[str, Any] = {"outages": [], "fastest": 0.0, "rounds": 0, "held": 0}
    found["backwards"] = 0
    last: Row | None = None
    waiting: dict[str, Any] | None = None
    speed, there = 0.0, False
    for row in rows:
        time_s, cycle, epoch, command = row
        if epoch == 0:
            found["held"] += 1
            continue
        if last is not None and epoch != last[2]:
            found["backwards"] += epoch < last[2]
            waiting = {"since": last[0], "speed": speed, "step": abs(command - last[3])}
            waiting["rested_at"] = last[3]
            found["outages"].append(waiting)
        elif last is not None and cycle > last[1]:
            speed = abs(command - last[3]) / ((cycle - last[1]) * period_s)
            found["fastest"] = max(found["fastest"], speed)
        if waiting is not None and command != waiting["rested_at"]:
            waiting["seconds"] = time_s - waiting["since"]
            waiting = None
        if there and command < 0.1 * AMPLITUDE:
            found["rounds"] += 1
        there = command > (0.1 if there else 0.9) * AMPLITUDE
        last = row
    return found


def run(name: str, axes: int, period_s: float, file: Path) -> None:
    """Until SIGTERM."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    rows: list[Row] = []
    position = still = np.zeros(axes)
    take = ImageTake.STOPPED
    with Plant(name, axes, watchdog_s=max(WATCHDOG_S, 10 * period_s)) as plant:
        while not ending.wait(period_s):
            plant.write(position, still)
            outputs = plant.read()
            if outputs.take is ImageTake.TAKEN:
                position = outputs.command
                row = (time.monotonic(), outputs.cycle, outputs.epoch, float(position[0]))
                rows.append(row)
            elif outputs.take is ImageTake.STOPPED and take is not ImageTake.STOPPED:
                rows.append((time.monotonic(), 0, 0, math.nan))
            take = outputs.take
    file.write_text(json.dumps(rows))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
