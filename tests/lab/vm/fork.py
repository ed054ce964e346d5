"""Entry points of mxrc as forks of the checks: their imports take ten seconds in the machine."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import shared.cli.main


def fork(main: Callable[[Sequence[str]], int], *arguments: str) -> dict[str, Any]:
    """Status and output (stdout and stderr) of main(arguments) in a process of its own."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            os.dup2(write, 1)
            os.dup2(write, 2)
            status = main(arguments)
        except BaseException:  # noqa: BLE001 - it is not to go on as the checks
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    os.close(write)
    with os.fdopen(read, errors="replace") as pipe:
        output = pipe.read()
    return {"status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "output": output}


def mxrc(*arguments: str) -> dict[str, Any]:
    """The command of this name."""
    return fork(shared.cli.main.main, *arguments)
