"""examples/mujoco_arm: an arm in another process, controlled through a process image."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.commands import CommandQueue
from shared.config import load_config
from shared.core import ERROR_BYTES, error_buffer, ffi, lib, to_text
from shared.datastore import DataStore
from shared.enums import Access, RtState, SafeCause
from shared.names import Names
from shared.program import compile_task
from shared.segment import Segment
from shared.state_block import read_state
from tests.helpers import ROOT, skip_or_fail
from tests.integration.test_control_laws import build, set_law
from tests.processes import Place, Running, kill, started_rt, wait_for, wait_for_state

PLANT = ROOT / "examples" / "mujoco_arm" / "plant.py"
TARGET = [0.4, -0.3, 0.9, 0.3, 0.6, -0.4]
REACH = {
    "id": "reach",
    "mode": "once",
    "sequence": {
        "name": "reach",
        "actions": [
            {
                "name": "go",
                "type": "move_joints",
                "parameters": {"target": TARGET, "duration_s": 2.0},
            }
        ],
    },
}


@pytest.fixture(autouse=True)
def with_mujoco() -> None:
    for module in ("mujoco", "matplotlib"):
        if importlib.util.find_spec(module) is None:
            skip_or_fail(f"{module} is missing: install the extra `examples`", "python3-pip")


@contextmanager
def started_plant(place: Place, name: str = "plant", *options: str) -> Iterator[Running]:
    arguments = [sys.executable, "-P", str(PLANT), "--name", place.instance, *options]
    environ = place.environ | {"PYTHONPATH": str(ROOT)}
    running = Running(arguments, environ, place.folder / f"{name}.out")
    try:
        wait_for(lambda: "plant" in running.output or running.process.poll() is not None, "plant")
        assert running.process.poll() is None, running.output
        yield running
    finally:
        running.end()


@pytest.fixture
def arm(place: Place) -> Place:
    """Configured for the arm; timings as a shared machine has them."""
    (place.config_dir / "tasks" / "reach.json").write_text(json.dumps(REACH))
    (place.config_dir / "tasks" / "reach.json").chmod(0o644)
    place.environ |= {
        "MXRC_ROBOT__DRIVER__TYPE": "process_image",
        "MXRC_ROBOT__DRIVER__NAME": json.dumps(place.instance),
        "MXRC_ROBOT__DRIVER__INPUT_TIMEOUT_MS": "5000",
    }
    return place


def send_reach(place: Place, execution_id: int) -> None:
    """As the Non-RT process would."""
    nonrt = Segment.attach(place.instance, Access.NONRT)
    config = load_config(place.config_dir, environ=place.environ)
    names = Names(nonrt)
    program = compile_task(
        config.tasks["reach"],
        config.robot,
        DataStore(nonrt).keys,
        names.intern,
        task_id="reach",
    )
    CommandQueue(nonrt).send_task(execution_id, "reach", program.data)


def measured(place: Place) -> Any:
    """Positions that the plant has published, rad."""
    image, inputs = ffi.new("struct mxrc_image *"), ffi.new("struct mxrc_image_inputs *")
    error = error_buffer()
    result = lib.mxrc_image_probe(image, place.instance.encode(), 6, error, ERROR_BYTES)
    assert result == 0, to_text(error)
    assert lib.mxrc_image_read_inputs(image, inputs) == 1
    lib.mxrc_image_close(image)
    return np.array(list(inputs.position)[:6])


def reached(plant: Running) -> Any:
    lines = [line for line in plant.output.splitlines() if line.startswith("position ")]
    return np.array([float(value) for value in lines[-1].split()[1:]])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("law", ["position_servo", "joint_pid"])
def test_the_arm_goes_where_it_is_told(arm: Place, law: str) -> None:
    if law == "joint_pid":
        source = ROOT / "examples" / "control_laws" / "joint_pid.c"
        path = build(source, arm.folder / "joint_pid.so")
        set_law(arm, type="c", path=str(path), symbol="joint_pid", parameters=[600, 600, 60, 20])
    plot = arm.folder / "arm.png"
    with started_plant(arm, "plant", "--plot", str(plot)) as plant, started_rt(arm) as rt:
        segment = wait_for_state(arm, rt)
        send_reach(arm, 1)
        wait_for(lambda: segment.rt_status.active_tasks > 0, "the task")
        # On a machine that stands still the arm gives way under efforts, and begins anew.
        wait_for(lambda: segment.rt_status.active_tasks == 0, "its end", 120.0)
        # The plant's time may lag behind on a machine that is short of CPUs.
        wait_for(lambda: bool(np.abs(measured(arm) - TARGET).max() < 0.01), "it to arrive")
        assert segment.rt_status.state == RtState.RUNNING, segment.rt_status.safe_cause
        rt.signal(signal.SIGTERM)
        assert rt.wait() == 0
        plant.signal(signal.SIGTERM)
        assert plant.wait() == 0, plant.output
        # Without commits the watchdog has stopped it, and it gives way a little until it is ended.
        assert np.abs(reached(plant) - TARGET).max() < 0.2, plant.output
        assert "taken" in plant.output
        assert plot.stat().st_size > 10_000
    assert arm.shm_files() == []


def test_kills_of_either_side(arm: Place) -> None:
    with started_rt(arm) as rt:
        with started_plant(arm) as plant:  # which mxrc-rt waits for
            segment = wait_for_state(arm, rt)
            kill(plant)
            wait_for(lambda: segment.rt_status.state == RtState.SAFE_MODE, "SAFE_MODE")
            assert segment.rt_status.safe_cause == SafeCause.DRIVER
        with started_plant(arm, "second") as plant:
            before = int(segment.rt_status.cycles_run)
            wait_for(lambda: segment.rt_status.cycles_run > before + 300, "cycles")
            assert rt.process.poll() is None, rt.output
            state = read_state(segment)
            assert state is not None
            kill(rt)
            with started_rt(arm, name="again") as again:
                wait_for_state(arm, again, RtState.SAFE_MODE)
                again.signal(signal.SIGTERM)
                assert again.wait() == 0
            plant.signal(signal.SIGTERM)
            assert plant.wait() == 0
            home = [axis["setpoint"] for axis in state["axes"]]
            assert np.abs(reached(plant) - home).max() < 0.02


def test_without_a_plant_it_is_said_and_tried_again(arm: Place) -> None:
    arm.environ["MXRC_ROBOT__DRIVER__START_TIMEOUT_S"] = "0.2"
    with started_rt(arm) as rt:
        assert rt.wait() == 75
        assert "start the plant (waited 0.2 s)" in rt.output


def test_the_model_is_that_of_the_configuration() -> None:
    robot = json.loads(Path(ROOT / "config" / "robot.json").read_text())
    names = [f'name="{axis["name"]}"' for axis in robot["axes"]]
    model = (PLANT.parent / "arm.xml").read_text()
    places = [model.index(name) for name in names]
    assert places == sorted(places)
