"""Control laws of the user's own in the real `mxrc-rt`: refused by name, and driving."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.enums import EventKind, RegionId, RtState, SafeCause, StateSection
from shared.events import message_id
from shared.names import Names
from shared.ring import RingReader
from shared.segment import Segment
from shared.state_block import read_state
from tests.helpers import ROOT, require_tool
from tests.processes import Place, kill, started_rt, wait_for, wait_for_state

EXAMPLES = ROOT / "examples" / "control_laws"
PID = [400, 200, 40, 20]
COMPILE_S = 90.0
"""numba compiles at the start."""

FAULTY = """
#include <math.h>
#include "mxrc/law.h"
static int init(void *s, const double *p, uint32_t axes, double dt) { return (int)p[0]; }
static int step(void *s, const double *p, const struct mxrc_law_input *in, double *command)
{
    for (uint32_t i = 0; i < in->axes; i++)
        command[i] = in->setpoint[i];
    if (in->cycle % 400 == 399)
        command[2] = NAN;
    return 0;
}
static void reset(void *s, const double *p, const struct mxrc_law_input *in) {}
const struct mxrc_law faulty = { ABI, BYTES, "not_quite", MXRC_LAW_POSITION, 0, 1, 1,
                                 init, step, reset };
"""


def build(source: Path, target: Path, *options: str) -> Path:
    """A shared object of a law."""
    compiler = require_tool("cc", "gcc")
    include = ROOT / "cffi_build" / "include"
    command = [compiler, "-std=c11", "-O2", "-fPIC", "-shared", f"-I{include}", *options]
    subprocess.run([*command, str(source), "-o", str(target), "-lm"], check=True, timeout=60)
    target.chmod(0o755)
    return target


def faulty(place: Place, abi: str = "MXRC_LAW_ABI", size: str = "sizeof(struct mxrc_law)") -> Path:
    source = place.folder / "faulty.c"
    source.write_text(FAULTY)
    return build(source, place.folder / "faulty.so", f"-DABI={abi}", f"-DBYTES={size}")


def set_law(place: Place, **law: Any) -> None:
    path = place.config_dir / "robot.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"law": law}))


def refusal(place: Place) -> str:
    with started_rt(place) as rt:
        assert rt.wait(COMPILE_S) == 78, rt.output
        assert place.shm_files() == []
        assert "Traceback" not in rt.output
        return rt.output


@pytest.fixture(params=["c", "numba"])
def pid_law(request: pytest.FixtureRequest, place: Place) -> dict[str, Any]:
    kind: str = request.param
    if kind == "c":
        path = build(EXAMPLES / "joint_pid.c", place.folder / "joint_pid.so")
    else:
        pytest.importorskip("numba")
        path = EXAMPLES / "joint_pid.py"
    return {"type": kind, "path": str(path), "symbol": "joint_pid", "parameters": PID}


def running(place: Place, rt: Any) -> Segment:
    """RUNNING, with time for a compilation."""
    wait_for(lambda: place.shm_files() or rt.process.poll() is not None, "start", COMPILE_S)
    return wait_for_state(place, rt)


def law_of_state(segment: Segment) -> str:
    """Name before the law's part of the state block."""
    state = read_state(segment)
    assert state is not None
    section = bytes.fromhex(state[f"section_{StateSection.LAW}"]["hex"])
    return section[:32].rstrip(b"\0").decode()


def test_a_law_drives_by_effort_and_its_state_survives_a_kill(
    place: Place, pid_law: dict[str, Any]
) -> None:
    set_law(place, **pid_law)
    with started_rt(place) as rt:
        segment = running(place, rt)
        wait_for(lambda: segment.rt_status.cycles_run > 300, "cycles")
        assert law_of_state(segment) == "joint_pid"
        assert segment.rt_status.state == RtState.RUNNING
        kill(rt)
    with started_rt(place, name="again") as rt:
        again = running(place, rt)
        wait_for(lambda: again.rt_status.last_recovery == 1, "the state block")
        assert law_of_state(again) == "joint_pid"
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0


def test_a_fault_is_logged_with_the_law_s_name(place: Place) -> None:
    set_law(place, type="c", path=str(faulty(place)), symbol="faulty", parameters=[0])
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt, RtState.SAFE_MODE)
        assert segment.rt_status.safe_cause == SafeCause.LAW_FAULT
        lane = RegionId.LANE + 2 * (segment.primary() or 0)
        records = RingReader(segment, lane).read().records
        fault = records[records["message_id"] == message_id("LAW_FAULT")][0]
        assert fault["kind"] == EventKind.LOG
        assert (fault["args"][0], fault["args"][1]) == (2, -1)
        assert Names(segment).resolve(int(fault["args"][2])) == "not_quite"


@pytest.mark.parametrize(
    ("abi", "size", "found"),
    [("2", "sizeof(struct mxrc_law)", "interface 2"), ("1", "64", "of 64 bytes")],
)
def test_another_interface_is_refused_by_name(
    place: Place, abi: str, size: str, found: str
) -> None:
    path = faulty(place, abi, size)
    set_law(place, type="c", path=str(path), symbol="faulty", parameters=[0])
    output = refusal(place)
    assert "robot.json: $.law.path" in output
    assert str(path) in output
    assert "symbol faulty" in output
    assert found in output


def test_what_cannot_be_trusted_or_found_is_refused(place: Place) -> None:
    path = faulty(place)
    good = {"type": "c", "path": str(path), "symbol": "faulty", "parameters": [0]}
    path.chmod(0o775)
    set_law(place, **good)
    assert "nobody else may write it" in refusal(place)
    path.chmod(0o755)
    place.folder.chmod(0o777)
    assert "may replace the code" in refusal(place)
    place.folder.chmod(0o755)
    set_law(place, **(good | {"symbol": "nothing"}))
    assert "has no symbol nothing" in refusal(place)
    set_law(place, **(good | {"path": str(path) + "x"}))
    assert "No such file" in refusal(place)
    set_law(place, **(good | {"path": str(place.config_dir / "robot.json")}))
    assert "cannot be loaded" in refusal(place)
    set_law(place, **(good | {"parameters": []}))
    assert "law not_quite takes 1 parameters, 0 were given" in refusal(place)
    set_law(place, **(good | {"parameters": [3]}))
    output = refusal(place)
    assert "not_quite refuses to start with code 3" in output
    assert "robot.json: $.law: found " in output
    assert str(path) in output


def test_a_law_in_python_is_refused_with_an_explanation(place: Place) -> None:
    pytest.importorskip("numba")
    law = place.folder / "law.py"
    law.write_text(
        "from shared.law import control_law\n"
        '@control_law(command="position")\n'
        "def raises(state, parameters, inputs, command):\n"
        "    if inputs.dt < 0:\n"
        "        raise ValueError\n"
        "    return 0\n"
        "def plain(): pass\n"
    )
    set_law(place, type="numba", path=str(law), symbol="raises")
    output = refusal(place)
    assert "law raises is not fit for the real-time thread" in output
    assert "take the interpreter lock" in output
    set_law(place, type="numba", path=str(law), symbol="plain")
    assert "no function plain under @control_law" in refusal(place)
    law.chmod(0o666)
    assert "law.path" in refusal(place)
    law.chmod(0o644)
    law.write_text("x = 1 / 0\n")
    assert "ZeroDivisionError" in refusal(place)
