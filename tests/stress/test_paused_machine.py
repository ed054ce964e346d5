"""Everything stands still for ten seconds, as when a machine is paused: nobody is judged."""

from __future__ import annotations

import os
import signal
import time

import pytest

from shared.enums import Role, RtState
from tests.processes import BIN, Place, Running, wait_for

PAUSE_S = 10.0


@pytest.mark.timeout(180)
def test_ten_seconds(place: Place) -> None:
    place.environ["MXRC_RT_SCHEDULE__SAFE_MODE_RESUME"] = "automatic"
    up = Running(
        [str(BIN / "mxrc"), "up", "--no-table", "--standbys", "1"],
        place.environ,
        place.folder / "up.out",
    )
    pids: list[int] = []
    try:
        segment = wait_for(place.segment, "the segment")
        rt, nonrt = segment.rt_status, segment.nonrt_status

        def settled() -> bool:
            members = [segment.member_struct(index) for index in range(segment.max_members)]
            pids[:] = [up.pid, int(nonrt.pid), *(int(one.pid) for one in members)]
            standby = any(one.role == Role.STANDBY for one in members)
            return bool(standby and nonrt.ready and rt.state == RtState.RUNNING)

        wait_for(settled, "all of them")
        time.sleep(2)
        generation, before = segment.generation, list(pids)
        cycles, run = int(rt.cycle), int(rt.cycles_run)
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        for pid in before:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        wait_for(settled, "all of them again")
        assert pids == before, "nobody was killed"
        assert "stalled" not in up.output
        assert "killed by" not in up.output
        assert segment.current()
        assert segment.generation == generation
        # On the same grid: what passed meanwhile was skipped, and not caught up with.
        assert int(rt.cycle) - cycles > PAUSE_S * 1000
        assert int(rt.cycles_run) - run < (int(rt.cycle) - cycles) - PAUSE_S * 1000 + 1000
        log = (place.folder / "log" / "non_rt_process.log").read_text()
        assert "checks in a row" not in log
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        up.end()
