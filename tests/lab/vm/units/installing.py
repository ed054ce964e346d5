"""mxrc becomes services of systemd, with an arm behind a process image to move."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from shared.resources import resource_path
from tests.lab.arm import sweep
from tests.lab.vm.fork import mxrc
from tests.lab.vm.units.look import NONRT, RT, edit, journal, run, running, serving

CONFIG: Final = Path("/etc/mxrc")
SOURCE: Final = Path("/var/tmp/config")
ARM: Final = "/opt/mxrc/arm.py"
ARM_UNIT: Final = "mxrc-test-arm.service"
ARM_FILE: Final = Path("/run/mxrc/arm.json")


def copy_configuration(rounds: int, sweep_s: float) -> None:
    """The shipped one to SOURCE, with RT driving the arm, and a task that sweeps it."""
    assert resource_path("systemd").is_dir()
    shutil.rmtree(CONFIG, ignore_errors=True)
    shutil.copytree(resource_path("config"), SOURCE)
    # A machine that is slow or has one CPU may lose a heartbeat: RUNNING all the same in the end.
    edit(SOURCE, "rt_schedule", None, {"safe_mode_resume": "automatic"})
    edit(SOURCE, "tracing_config", "exporter", {"type": "NONE"})
    driver = {"type": "process_image", "name": "arm", "input_timeout_ms": 10_000}
    edit(SOURCE, "robot", None, {"driver": driver | {"start_timeout_s": 120}})
    (SOURCE / "tasks/sweep.json").write_text(json.dumps(sweep("sweep", rounds, sweep_s)))


def install_units() -> dict[str, Any]:
    for path in (SOURCE, *SOURCE.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return mxrc("systemd", "install", "--config-dir", str(SOURCE))


def start_all(period_s: float) -> dict[str, Any]:
    """The arm, then the units; what came of it."""
    arm = [sys.executable, "-P", ARM, "arm", "6", str(period_s), str(ARM_FILE)]
    found: dict[str, Any] = {
        "arm": run("systemd-run", f"--unit={ARM_UNIT}", "--uid=mxrc", "--collect", *arm),
        "started": run("systemctl", "enable", "--now", "mxrc.target", NONRT, RT),
        "running": running(),
    }
    found["ready"] = found["started"]["status"] == 0 and bool(serving())
    found["journal"] = journal(NONRT)[-3000:]
    found["kernel"] = os.uname().version
    os.sync()  # what was written until now is not written while something is timed
    return found
