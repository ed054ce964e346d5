"""Waiting for a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

PROGRAM = """
from shared.signals import block_signals, wait_for_signal
block_signals()
print("ready", flush=True)
seen = []
while 15 not in seen:
    number = wait_for_signal(0.05)
    if number is not None:
        seen.append(number)
print(*seen)
"""


def test_signals_are_seen_and_a_stopped_process_sees_no_others() -> None:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    program.send_signal(signal.SIGHUP)
    for _ in range(3):
        time.sleep(0.1)
        program.send_signal(signal.SIGSTOP)
        time.sleep(0.2)  # longer than it waits
        program.send_signal(signal.SIGCONT)
    time.sleep(0.2)
    program.send_signal(signal.SIGTERM)
    assert program.communicate(timeout=30)[0] == "1 15\n"
    assert program.returncode == 0
