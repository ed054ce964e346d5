"""Take-over under motion: kills, stalls and aborts of the PRIMARY, in numbers.

cffi_build/tests/test_takeover.c does it with RT processes of its own and a plant behind a process
image; test_takeover_wrong_check_then_act.c takes the fence out. Its counts are printed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*counts: int) -> str:
    """Kills, stalls, aborts at each place; returns what it printed."""
    subprocess.run(
        [
            "make", "-s", "-C", "cffi_build", "programs", "VARIANTS=gcc", "TESTS=test_takeover",
            f"PYTHON={sys.executable}",
        ],
        cwd=ROOT,
        check=True,
        timeout=300,
    )  # fmt: skip
    done = subprocess.run(
        [str(ROOT / "build" / "c" / "gcc" / "test_takeover"), *map(str, counts)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def number(text: str, pattern: str) -> int:
    """The number in front of `pattern`."""
    found = re.search(rf"(\d+) {pattern}", text)
    assert found, text
    return int(found[1])


@pytest.mark.short
@pytest.mark.timeout(320)
def test_a_few_of_each() -> None:
    text = run(10, 4, 6)
    assert number(text, "kills of the PRIMARY") == 10


@pytest.mark.timeout(900)
def test_many_of_each() -> None:
    text = run(200, 50, 50)
    assert number(text, "kills of the PRIMARY") == 200
    killed, continued = number(text, "stalls, killed"), number(text, "continued in their commit")
    assert killed + continued == 50
    assert continued == 25
    unseen = number(text, "deaths between commit and state block without a standby")
    assert unseen == 100
    assert number(text, "times motion went on from rest") > unseen // 2
    assert number(text, "aborts in a state block") >= 50
    assert number(text, "in a ring record") >= 50
