"""RT is killed while it moves an arm behind a process image; nobody stands by."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from tests.lab.arm import account
from tests.lab.vm.units.installing import ARM_FILE, ARM_UNIT
from tests.lab.vm.units.look import (
    ASK_S,
    RT,
    ask,
    attached,
    journal,
    restarts,
    run,
    running,
    wait,
)


def kill_in_motion(kills: int, period_s: float) -> dict[str, Any]:
    """The arm is stopped for good at the end; `motion` says what it was made to do."""
    rounds = []
    ask("/api/v1/task/start", {"task_id": "sweep", "mode": "once"})
    wait(lambda: attached().rt_status.active_tasks)
    for number in range(kills):
        time.sleep(2.0 + 0.9 * number)  # in all parts of a sweep
        count, before = restarts(RT), running()
        os.kill(before["pid"], signal.SIGKILL)
        after = running(other_than=before["pid"], beyond=before["run"])
        count = restarts(RT) - count
        rounds.append({"before": before, "after": after, "restarts": count})
    wait(lambda: ask("/api/v1/tasks/sweep")["ended_at"], between_s=ASK_S)
    found: dict[str, Any] = {"task": ask("/api/v1/tasks/sweep")}
    run("systemctl", "stop", ARM_UNIT)
    found["arm"] = journal(ARM_UNIT)
    if not ARM_FILE.exists():
        return {**found, "failed": f"the arm left nothing:\n{found['arm']}"}
    found["motion"] = account(json.loads(ARM_FILE.read_text()), period_s)
    return {**found, "rounds": rounds, "journal": journal(RT)}
