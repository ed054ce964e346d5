from __future__ import annotations

import os
import signal
import subprocess
import sys

from shared.core import lib
from shared.process_kill import kill_process


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])


def test_kills_that_process_only() -> None:
    process = _sleeper()
    try:
        start = int(lib.mxrc_process_start(process.pid))
        assert not kill_process(process.pid, start + 1)  # its pid was another's
        assert process.poll() is None
        assert kill_process(process.pid, start)
        assert process.wait(10) == -signal.SIGKILL
        assert not kill_process(process.pid, start)
    finally:
        process.kill()
        process.wait()


def test_nobody_is_killed_by_no_identity() -> None:
    own = int(lib.mxrc_process_start(os.getpid()))
    for pid, start in ((0, 0), (os.getpid(), 0), (0, own), (-1, own), (2**22 + 1, 5)):
        assert not kill_process(pid, start)
