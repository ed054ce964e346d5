from __future__ import annotations

import os
import threading

from rt_process.system import LinuxSystem


def test_what_is_tried_on_the_sleeper_leaves_the_caller_as_it_is() -> None:
    system = LinuxSystem()
    before = os.sched_getaffinity(0), os.sched_getscheduler(0)
    with system.sleeper() as thread:
        assert thread not in (0, os.getpid())
        one = frozenset({max(before[0])})
        system.set_affinity(thread, one)
        assert system.affinity_now(thread) == one
        assert (os.sched_getaffinity(0), os.sched_getscheduler(0)) == before
    assert thread not in {other.native_id for other in threading.enumerate()}
