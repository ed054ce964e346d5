"""What `mxrc reset` does: end a manual intervention, start again what was given up."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any, Final

from shared.cli.client import Client
from shared.cli.errors import CommandError, Unavailable
from shared.cli.folders import up_folder
from shared.cli.systemd import system
from shared.clock import SystemClock
from shared.config import Config
from shared.core import MxrcError
from shared.reset_request import request_reset
from shared.segment import Segment, process_alive

WAIT_S: Final = 15.0
PATH: Final = "/api/v1/failover/reset"
_SERVICES: Final = ("mxrc-nonrt.service", "mxrc-rt.service")


def reset(config: Config, say: Callable[[str], None]) -> dict[str, Any]:
    """The failover manager's status afterwards.

    Raises:
        CommandError: nothing that could be reset was found, it did not come back, or it is there
            and stalled: what a person has to end.
    """
    started = _start_failed_units(say)
    try:
        return _post(config)
    except Unavailable:
        asked = _ask_supervisor(config)
        _refuse_stalled(config)
        if not (started or asked):
            raise
    deadline = time.monotonic() + WAIT_S
    while True:
        time.sleep(0.2)
        try:
            return _post(config)
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the Non-RT process did not come back within {WAIT_S:g} s: {error}"
                ) from None


def _post(config: Config) -> dict[str, Any]:
    answer = Client(config).post(PATH, {})
    return answer if isinstance(answer, dict) else {}


def _refuse_stalled(config: Config) -> None:
    """A stalled Non-RT process hears no request, and nobody ends it any more."""
    try:
        with Segment.attach(config.instance_name) as segment:
            status = segment.nonrt_status
            pid, heartbeat_ns = int(status.pid), int(status.heartbeat_ns)
            alive = process_alive(pid, int(status.process_start))
    except MxrcError:
        return
    age_ms = (SystemClock().monotonic_ns() - heartbeat_ns) / 1e6
    if alive and age_ms > config.failover_policy.non_rt_process.health_check_timeout_ms:
        raise CommandError(
            f"the Non-RT process {pid} is stalled for {age_ms:.0f} ms and hears no reset: find the "
            f"cause, then end it (kill -9 {pid}) and run `mxrc reset` again"
        )


def _start_failed_units(say: Callable[[str], None]) -> bool:
    """Units that systemd has given up."""
    if shutil.which("systemctl") is None:
        return False
    failed = [
        unit
        for unit in _SERVICES
        if system.show(unit, "ActiveState").get("ActiveState") == "failed"
    ]
    failed += system.standbys("failed")
    for unit in failed:
        system.run("systemctl", "reset-failed", unit)
        system.run("systemctl", "start", "--no-block", unit)
        say(f"{unit}: had failed, starting it")
    return bool(failed)


def _ask_supervisor(config: Config) -> bool:
    """`mxrc up`, in the folder of the configuration or below ./var of this one."""
    asked = False
    for run_dir in (config.paths.run_dir, up_folder(config.instance, "run_dir")):
        if (run_dir / f"{config.instance_name}.lock").exists():
            request_reset(run_dir, config.instance_name)
            asked = True
    return asked
