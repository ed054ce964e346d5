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
from shared.config import Config
from shared.reset_request import request_reset

WAIT_S: Final = 15.0
PATH: Final = "/api/v1/failover/reset"
_SERVICES: Final = ("mxrc-nonrt.service", "mxrc-rt.service")


def reset(config: Config, say: Callable[[str], None]) -> dict[str, Any]:
    """The failover manager's status afterwards.

    Raises:
        CommandError: nothing that could be reset was found, or it did not come back.
    """
    started = _start_failed_units(say)
    try:
        return _post(config)
    except Unavailable:
        asked = _ask_supervisor(config)
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


def _start_failed_units(say: Callable[[str], None]) -> bool:
    """Units that systemd has given up."""
    if shutil.which("systemctl") is None:
        return False
    failed = [
        unit
        for unit in _SERVICES
        if system.show(unit, "ActiveState").get("ActiveState") == "failed"
    ]
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
