"""Control laws and actions of the user's own in tasks, from HTTP to the axes."""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.enums import RegionId, SafeCause, StateSection
from shared.events import message_id
from shared.names import Names
from shared.ring import RingReader
from shared.segment import Segment
from shared.state_block import read_state
from tests.helpers import ROOT, skip_or_fail, unique_instance
from tests.integration.test_control_laws import build, refusal
from tests.integration.test_nonrt_process import (
    ANY_TIMING,
    SERVING,
    NonRt,
    started_nonrt,
)
from tests.integration.test_task_blocks import ended, post, start
from tests.processes import Place, kill, started_rt, wait_for, wait_for_state

EXAMPLE = ROOT / "examples" / "control_laws"

LAWS = """
#include <math.h>
#include "mxrc/law.h"
static int init(void *s, const double *p, uint32_t axes, double dt) { return 0; }
static void reset(void *s, const double *p, const struct mxrc_law_input *in) {}
static int wild_step(void *s, const double *p, const struct mxrc_law_input *in, double *command)
{
    command[3] = ++*(double *)s > 50 ? NAN : in->setpoint[3];
    return 0;
}
static int count_step(void *s, const double *p, const struct mxrc_law_input *in, double *command)
{
    if (p[0] < 0)
        return 9;
    return ++*(double *)s >= p[0] ? MXRC_LAW_DONE : 0;
}
const struct mxrc_law wild = { MXRC_LAW_ABI, sizeof(struct mxrc_law), "wild_law",
                               MXRC_LAW_POSITION, 8, 1, 0, init, wild_step, reset };
const struct mxrc_law count = { MXRC_LAW_ABI, sizeof(struct mxrc_law), "count",
                                MXRC_LAW_POSITION, 8, 1, 1, init, count_step, reset };
const struct mxrc_law effort = { MXRC_LAW_ABI, sizeof(struct mxrc_law), "effort",
                                 MXRC_LAW_EFFORT, 8, 1, 0, init, wild_step, reset };
"""


def task(name: str, kind: str, on_failure: str = "fail", **parameters: Any) -> dict[str, Any]:
    action = {"name": name, "type": kind, "parameters": parameters, "on_failure": on_failure}
    return {"id": name, "sequence": {"name": "s", "actions": [action]}}


TASKS = (
    task("wild", "control_law", law="goes_wild", axes=["wrist_roll"]),
    task("counts", "user_action", law="counts", values=[3000]),
    task("refuses", "user_action", "skip", law="counts", values=[-1]),
    json.loads((EXAMPLE / "sway.json").read_text()),
)


def configure(place: Place) -> dict[str, Any]:
    """A robot.json with laws, as a document."""
    sway = build(EXAMPLE / "sway.c", place.config_dir / "sway.so", "-std=gnu11")
    source = place.folder / "laws.c"
    source.write_text(LAWS)
    laws = build(source, place.config_dir / "laws.so")
    one = {"type": "c", "path": laws.name}
    path = place.config_dir / "robot.json"
    robot: dict[str, Any] = json.loads(path.read_text())
    robot["task_laws"] = [
        {**one, "name": "goes_wild", "symbol": "wild"},
        {**one, "name": "sway", "path": sway.name, "symbol": "sway", "parameters": [0.3, 0.5, 2]},
        {**one, "name": "counts", "symbol": "count", "parameters": [100]},
    ]
    path.write_text(json.dumps(robot))
    return robot


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(unique_instance(), tmp_path_factory.mktemp("laws"))
    made.environ |= ANY_TIMING
    configure(made)
    for content in TASKS:
        path = made.config_dir / "tasks" / f"{content['id']}.json"
        path.write_text(json.dumps(content))
        path.chmod(0o640)
    return made


@pytest.fixture(scope="module")
def nonrt(place: Place) -> Iterator[NonRt]:
    with started_nonrt(place) as running:
        yield running


def logged(segment: Segment, name: str) -> Any:
    """The first RT event of that name."""
    lane = RegionId.LANE + 2 * (segment.primary() or 0)
    records = RingReader(segment, lane).read().records
    return records[records["message_id"] == message_id(name)][0]


def law_states(segment: Segment) -> dict[str, float]:
    """Laws that run for tasks, by name: the first number in the state of each."""
    found = read_state(segment)
    raw = bytes.fromhex((found or {}).get(f"section_{StateSection.TASK_LAWS}", {}).get("hex", ""))
    states = {}
    while raw:
        _strand, _key, name, _version, size = struct.unpack_from("<II32sII", raw)
        (states[name.rstrip(b"\0").decode()],) = struct.unpack_from("<d", raw, 48)
        raw = raw[48 + (size + 7) // 8 * 8 :]
    return states


def test_they_drive_act_fail_and_survive(place: Place, nonrt: NonRt) -> None:
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        nonrt.wait_for_status(*SERVING)
        start(nonrt, "refuses")  # a user's action that fails is skipped, as its task says
        assert ended(nonrt, "refuses")["status"] == "COMPLETED"
        fault = logged(segment, "USER_ACTION_FAULT")
        assert Names(segment).resolve(int(fault["args"][0])) == "counts"
        assert list(fault["args"][1:3]) == [0, 9]

        # One drives two axes, the other one is an action of the user's: at once, and both go on.
        start(nonrt, "sway", rounds=100.0)
        wait_for(lambda: law_states(segment).get("sway"), "its first steps")
        start(nonrt, "counts")
        wait_for(lambda: law_states(segment).get("count"), "its first steps")
        before = law_states(segment)
        assert before.keys() == {"sway", "count"}
        kill(rt)
    with started_rt(place, name="again") as rt:
        segment = wait_for_state(place, rt)
        # Not below what it was and then above; sway begins a round anew when it is reset.
        assert law_states(segment).keys() == before.keys()
        assert law_states(segment)["count"] >= before["count"]
        wait_for(
            lambda: law_states(segment).get("count", 0.0) > before["count"] or None, "it goes on"
        )
        assert ended(nonrt, "counts")["status"] == "COMPLETED"
        assert law_states(segment).keys() == {"sway"}
        assert nonrt.request("DELETE", "/api/v1/tasks/sway").status_code == 202
        assert ended(nonrt, "sway")["status"] == "CANCELLED"
        assert law_states(segment) == {}

        start(nonrt, "wild")
        end = ended(nonrt, "wild")
        assert (end["status"], end["error"]) == ("FAILED", "ERR_LAW")
        wait_for(
            lambda: segment.rt_status.safe_cause == SafeCause.LAW_FAULT, "SAFE_MODE by its fault"
        )
        fault = logged(segment, "TASK_LAW_NOT_FINITE")
        assert Names(segment).resolve(int(fault["args"][0])) == "goes_wild"
        assert fault["args"][2] == 3
        logs = place.folder / "log"
        wait_for(
            lambda: any("goes_wild" in one.read_text() for one in logs.glob("*.log")), "a line"
        )

        # It waits for the end of SAFE_MODE; a stop ends it, so that it never begins by itself.
        start(nonrt, "counts")
        assert post(nonrt, "/api/v1/rt/stop").is_success
        end = ended(nonrt, "counts")
        assert (end["status"], end["error"][:8]) == ("CANCELLED", "STOPPED:")
        assert rt.wait() == 0


NOD = """
from math import cos, pi

from shared.law import DONE, control_law


@control_law(command="position", state=2, parameters=2)
def nod(state, parameters, inputs, command):
    if state[0] == 0.0:
        state[1] = inputs.setpoint[3]
    state[0] = min(state[0] + inputs.dt, parameters[1])
    command[3] = state[1] + parameters[0] * (1.0 - cos(pi * state[0] / parameters[1]))
    # A machine that stood still lets the set-point follow from rest.
    followed = abs(inputs.setpoint[3] - state[1] - 2.0 * parameters[0]) < 1e-3
    return DONE if state[0] >= parameters[1] and followed else 0
"""


def setpoints(segment: Segment) -> list[float]:
    return [axis["setpoint"] for axis in (read_state(segment) or {})["axes"]]


def test_one_in_python(instance: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("numba") is None:
        skip_or_fail("numba is missing", "python3-numba")
    place = Place(instance, tmp_path)
    place.environ |= ANY_TIMING
    (place.config_dir / "nod.py").write_text(NOD)
    path = place.config_dir / "robot.json"
    robot = json.loads(path.read_text())
    law = {"name": "nod", "type": "numba", "path": "nod.py", "symbol": "nod"}
    robot["task_laws"] = [{**law, "parameters": [0.1, 1.0]}]
    path.write_text(json.dumps(robot))
    content = task("nod", "control_law", law="nod", axes=["wrist_roll"], values=[0.2, 1.5])
    path = place.config_dir / "tasks" / "nod.json"
    path.write_text(json.dumps(content))
    path.chmod(0o640)
    with started_rt(place) as rt, started_nonrt(place) as nonrt:
        segment = wait_for_state(place, rt)
        nonrt.wait_for_status(*SERVING)
        before = setpoints(segment)
        start(nonrt, "nod")
        wait_for(lambda: law_states(segment).get("nod"), "its first steps")
        assert ended(nonrt, "nod")["status"] == "COMPLETED"
        assert law_states(segment) == {}, "it has ended itself"
        ways = [b - a for a, b in zip(before, setpoints(segment), strict=True)]
        assert ways == [pytest.approx(0.4 if axis == 3 else 0.0, abs=0.01) for axis in range(6)]


def test_what_does_not_fit_is_refused_by_name(instance: str, tmp_path: Path) -> None:
    place = Place(instance, tmp_path)
    robot = configure(place)
    path = place.config_dir / "robot.json"
    laws = robot["task_laws"]
    for change, where, why in (
        ({"parameters": [1]}, "$.task_laws[0].parameters", "wild_law takes 0 parameters"),
        ({"symbol": "effort"}, "$.task_laws[0].symbol", "must command positions"),
        ({"symbol": "nothing"}, "$.task_laws[0].path", "has no symbol nothing"),
    ):
        robot["task_laws"] = [{**laws[0], **change}, *laws[1:]]
        path.write_text(json.dumps(robot))
        output = refusal(place)
        assert f"robot.json: {where}" in output
        assert why in output
