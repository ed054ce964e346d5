"""Helpers of the tests that are not fixtures."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHM_DIR = Path("/dev/shm")
FOLLOWING_LAW = """
from shared.law import control_law


@control_law(command="position", state=1, parameters=0)
def follow(state, parameters, inputs, command):
    for i in range(inputs.axes):
        command[i] = inputs.setpoint[i]
    return 0
"""
"""A control law in Python, `follow`: commands the set-points."""


def in_ci() -> bool:
    """Whether a missing tool is a failure."""
    return os.environ.get("CI") == "true"


def skip_or_fail(reason: str, package: str) -> NoReturn:
    """Skip the test, naming the system package that would make it run; under CI=true fail it."""
    message = f"{reason} (apt-get install {package})"
    if in_ci():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def require_tool(program: str, package: str | None = None) -> str:
    """Path of a program the test needs, else `skip_or_fail`."""
    path = shutil.which(program)
    if path is None:
        skip_or_fail(f"{program} is missing", package or program)
    return path


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def unique_instance(prefix: str = "test") -> str:
    """An instance name nobody else uses."""
    return f"{prefix}-{os.getpid()}-{secrets.token_hex(4)}"
