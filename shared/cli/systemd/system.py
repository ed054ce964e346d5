"""The commands of systemd that installing needs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from shared.cli.errors import CommandError

TIMEOUT_S = 300.0
"""Stopping both processes may take 40 s, and an overloaded machine minutes for a reload."""


def run(*arguments: str, allow_failure: bool = False, timeout_s: float = TIMEOUT_S) -> str:
    """stdout of a command. Raises CommandError with what it wrote to stderr, or when it hangs."""
    program = shutil.which(arguments[0])
    if program is None:
        raise CommandError(f"{arguments[0]} is missing: is this a machine with systemd?")
    try:
        done = subprocess.run(
            [program, *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandError(
            f"{' '.join(arguments)} has not ended within {timeout_s:g} s: is the machine "
            "overloaded? Run the same command of mxrc again; what is done already does no harm"
        ) from None
    if done.returncode and not allow_failure:
        reason = done.stderr.strip() or f"status {done.returncode}"
        raise CommandError(f"{' '.join(arguments)}: {reason}")
    return done.stdout


def show(unit: str, *properties: str) -> Mapping[str, str]:
    """Properties of a unit by name; {} where systemd does not answer."""
    text = run("systemctl", "show", unit, "-p", ",".join(properties), allow_failure=True)
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


def standbys(*states: str) -> list[str]:
    """The instances of mxrc-rt@.service that systemd has loaded; only those in one of `states`."""
    chosen = (f"--state={','.join(states)}",) if states else ()
    text = run(
        "systemctl",
        "list-units",
        "--all",
        "--plain",
        "--no-legend",
        *chosen,
        "mxrc-rt@*.service",
        allow_failure=True,
    )
    return [word for line in text.splitlines() for word in line.split()[:1]]
