"""Late cycles injected into the real processes: each with its cause."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from shared import incident_file
from shared.enums import RtState
from tests.integration.test_nonrt_process import ANY_TIMING, SERVING, NonRt, started_nonrt
from tests.integration.test_schedule import build, burner, set_schedule
from tests.processes import Place, started_rt, wait_for, wait_for_state

WAIT_S = 40.0
SLOW = {"MXRC_RT_SCHEDULE__PERIOD_US": "20000"}
"""No cycle is late of itself, so that what is injected is no part of a storm."""


def incident(place: Place, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first late cycle of that kind."""
    return wait_for(lambda: listed(place, wanted), "the incident", WAIT_S)


def listed(place: Place, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    for path in incident_file.files(place.folder / "data" / incident_file.FOLDER, place.instance):
        for late in filter(wanted, incident_file.read(path).head["late"]):
            return dict(late)
    return None


def test_a_long_entry_is_named(place: Place) -> None:
    # Seldom enough that it is no storm with what was late at the start.
    place.environ |= SLOW
    slow = burner(build(place.folder), parameters=[30_000], period_us=7_000_000, phase_us=0)
    set_schedule(place, slow)
    with started_nonrt(place), started_rt(place) as rt:
        wait_for_state(place, rt)
        found = incident(place, lambda late: late["entry"] == "burning")
        assert "worked long" in found["causes"]
        assert found["entry_us"] >= 30_000


def test_a_stopped_process_woke_late(place: Place) -> None:
    place.environ |= ANY_TIMING | SLOW
    with started_nonrt(place) as nonrt, started_rt(place) as rt:
        wait_for_state(place, rt)
        nonrt.wait_for_status(*SERVING)
        found = None
        for _ in range(5):
            # What is late soon after SAFE_MODE is in its file, whatever else this machine does.
            wait_for(lambda: safe_mode(nonrt), "SAFE_MODE")
            for _ in range(3):  # now and then it is stopped while it works
                os.kill(rt.process.pid, signal.SIGSTOP)
                time.sleep(0.1)
                os.kill(rt.process.pid, signal.SIGCONT)
                time.sleep(0.02)
            time.sleep(2.0)
            found = listed(place, lambda late: late["woke_late_us"] > 30_000)
            if found:
                break
        assert found
        assert "woke late" in found["causes"]
        assert found["entry"] == ""


def safe_mode(nonrt: NonRt) -> bool:
    """Whether it was entered now, whatever the state was."""
    for verb in ("safe-mode-exit", "start", "resume"):
        nonrt.request("POST", f"/api/v1/rt/{verb}")
    return nonrt.request("POST", "/api/v1/rt/safe-mode").status_code == 200


def test_what_happens_while_nobody_reads_has_its_file(place: Place) -> None:
    """Killed, so that RT enters SAFE_MODE: the ring still has it when the next one starts."""
    place.environ |= ANY_TIMING
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        with started_nonrt(place) as nonrt:
            nonrt.wait_for_status(*SERVING)
            nonrt.signal(signal.SIGKILL)
            nonrt.wait()
        wait_for(lambda: segment.rt_status.state == RtState.SAFE_MODE, "SAFE_MODE")
        segment.detach()
        with started_nonrt(place, name="again") as nonrt:
            nonrt.wait_for_status(*SERVING)
            wait_for(lambda: entered(place, "SAFE_MODE (HEARTBEAT)"), "the incident", WAIT_S)


def entered(place: Place, state: str) -> bool:
    folder = place.folder / "data" / incident_file.FOLDER
    heads = [incident_file.read(path).head for path in incident_file.files(folder, place.instance)]
    return any(state in why for head in heads for why in (head["why"], *head["then"]))
