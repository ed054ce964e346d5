"""Runs in the virtual machine whose clock counts instructions: how long the arm stands still.

Nothing is judged here; test_vm_repair.py does that. The configuration is the shipped one, but for
the plant: 1 kHz, and its policies.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from tests.lab.vm.checking import run_checks
from tests.lab.vm.repair.plan import KILLS, PERIOD_S, ROUNDS, SWEEP_S
from tests.lab.vm.units.installing import copy_configuration, install_units, start_all
from tests.lab.vm.units.motion import kill_in_motion


def install() -> dict[str, Any]:
    copy_configuration(ROUNDS, SWEEP_S)
    return {"installed": install_units(), **start_all(PERIOD_S)}


def bare_python() -> float:
    """Seconds; the least of some, which read nothing from the disk."""
    took = []
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
        took.append(time.monotonic() - begin)
    return min(took)


def kill_rt() -> dict[str, Any]:
    return {"bare": bare_python(), **kill_in_motion(KILLS, PERIOD_S)}


if __name__ == "__main__":
    run_checks({"install": install, "kill_rt": kill_rt})
