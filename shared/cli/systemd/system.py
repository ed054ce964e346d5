"""The commands of systemd that installing needs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping

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


Runner = Callable[..., str]


def show(unit: str, *properties: str, runner: Runner = run) -> Mapping[str, str]:
    """Properties of a unit by name; {} where systemd does not answer."""
    text = runner("systemctl", "show", unit, "-p", ",".join(properties), allow_failure=True)
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}
