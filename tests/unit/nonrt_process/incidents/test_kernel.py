"""Throttling as the recorder sees it: what is set, and whether this kernel keeps to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nonrt_process.incidents.kernel import Kernel
from nonrt_process.incidents.recorder import summary


@pytest.mark.parametrize(
    ("release", "built", "runtime", "pause_ms"),
    [
        ("6.1.0", "y", 950000, 50),
        ("6.18.1", "y", 950000, 50),
        ("6.18.1", "n", 950000, 0),  # the fair server does that since 6.12
        ("6.1.0", "y", -1, 0),
    ],
)
def test_the_pause_is_that_of_a_kernel_that_throttles(
    tmp_path: Path, release: str, built: str, runtime: int, pause_ms: int
) -> None:
    settings = tmp_path / "proc/sys/kernel"
    settings.mkdir(parents=True)
    (settings / "osrelease").write_text(f"{release}\n")
    (settings / "sched_rt_period_us").write_text("1000000\n")
    (settings / "sched_rt_runtime_us").write_text(f"{runtime}\n")
    (tmp_path / "boot").mkdir()
    (tmp_path / f"boot/config-{release}").write_text(
        "CONFIG_RT_GROUP_SCHED=y\n" if built == "y" else "# CONFIG_RT_GROUP_SCHED is not set\n"
    )
    assert Kernel(tmp_path).throttle_pause_ns() == pause_ms * 10**6


@pytest.mark.parametrize(("count", "words"), [(1, "1 late cycle,"), (3, "3 late cycles, the")])
def test_one_late_cycle_is_one(count: int, words: str) -> None:
    first = {"causes": ["woke late"], "entry": "", "entry_us": 0.0, "late_us": 1234.5}
    assert summary("late cycle", first, count).startswith(words)
