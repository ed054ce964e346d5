"""The plant's side of a process image in Python, against the executive's side in C."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rt_process.plant import await_plant, plant_is_there
from shared.core import ERROR_BYTES, error_buffer, ffi, lib, to_text
from shared.enums import ImageCommand, ImageTake
from shared.process_image import ImageError, Plant
from shared.startup import EX_TEMPFAIL, Refused
from tests.helpers import ROOT, require_tool
from tests.unit.config.conftest import SHIPPED, Files, copy_files

MS = 1_000_000


@pytest.fixture
def plant(instance: str) -> Iterator[Plant]:
    with Plant(instance, 2, watchdog_s=0.01) as made:
        yield made


@pytest.fixture
def executive(plant: Plant, instance: str) -> Iterator[Any]:
    image = ffi.new("struct mxrc_image *")
    error = error_buffer()
    result = lib.mxrc_image_attach(image, instance.encode(), 2, 7, error, ERROR_BYTES)
    assert result == 0, to_text(error)
    assert lib.mxrc_image_admit(image, 5) == 0
    yield image
    lib.mxrc_image_close(image)


def commit(executive: Any, cycle: int, kind: ImageCommand, *values: float) -> int:
    command = ffi.new("double[]", values)
    return int(lib.mxrc_image_commit(executive, 0, 5, cycle, 1, int(kind), command))


def test_outputs_come_and_stop(plant: Plant, executive: Any) -> None:
    first = plant.read(time_ns=1)
    assert (first.take, first.kind, first.cycle) == (ImageTake.STOPPED, ImageCommand.SAFE, 0)
    assert commit(executive, 3, ImageCommand.EFFORT, 1.5, -2.5) == 0
    taken = plant.read(time_ns=1 * MS)
    assert (taken.take, taken.kind, taken.cycle, taken.epoch) == (
        ImageTake.TAKEN,
        ImageCommand.EFFORT,
        3,
        5,
    )
    assert taken.command.tolist() == [1.5, -2.5]
    assert plant.read(time_ns=11 * MS).take is ImageTake.HELD
    plant.write([0.25, 0.5], [0, 0])
    stopped = plant.read(time_ns=11 * MS + 1)
    assert (stopped.take, stopped.kind) == (ImageTake.STOPPED, ImageCommand.SAFE)
    assert stopped.command.tolist() == [0.25, 0.5]
    assert taken.command.tolist() == [1.5, -2.5]  # a copy


def test_inputs_go(plant: Plant, executive: Any) -> None:
    inputs = ffi.new("struct mxrc_image_inputs *")
    plant.write(np.array([1, 2]), (3.0, 4.0), [5.0, 6.0], time_ns=99)
    assert lib.mxrc_image_read_inputs(executive, inputs) == 1
    assert (inputs.number, inputs.time_ns) == (1, 99)
    assert list(inputs.position)[:3] == [1, 2, 0]
    assert list(inputs.velocity)[:2] == [3, 4]
    assert list(inputs.effort)[:2] == [5, 6]
    with pytest.raises(ValueError, match="2 axes"):
        plant.write([1.0], [2.0])


def test_one_plant_at_a_time(plant: Plant, instance: str) -> None:
    with pytest.raises(ImageError, match="another plant works on it"):
        Plant(instance, 2)
    with pytest.raises(ImageError, match="watchdog_s is 0"):
        Plant(f"{instance}-x", 2, watchdog_s=0)
    with pytest.raises(ImageError, match="no '/'"):
        Plant("a/b", 2)


def test_who_waits_for_a_plant_is_told_why(plant: Plant, instance: str) -> None:
    assert "start the plant" in plant_is_there(f"{instance}-x", 2)
    assert "not measured anything yet" in plant_is_there(instance, 2)
    with pytest.raises(Refused, match=r"the plant has 2 axes, robot\.json has 6"):
        plant_is_there(instance, 6)
    plant.write([0, 0], [0, 0])
    assert plant_is_there(instance, 2) == ""


def test_the_executive_waits_for_its_plant_for_a_while(tmp_path: Any) -> None:
    files = Files(copy_files(SHIPPED, tmp_path))
    files.change(
        "robot",
        lambda document: document.update(
            driver={"type": "process_image", "name": "arm", "start_timeout_s": 3}
        ),
    )
    config, now = files.load(), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def look(name: str, axes: int) -> str:
        assert (name, axes) == ("arm", 6)
        return "" if now[0] > 2 else "there is none"

    await_plant(config, look, clock=lambda: now[0], sleep=sleep)
    assert 2 < now[0] < 2.2
    with pytest.raises(Refused, match=r"never here \(waited 3 s\)") as refused:
        await_plant(config, lambda *_: "never here", clock=lambda: now[0], sleep=sleep)
    assert refused.value.status == EX_TEMPFAIL


def test_a_plant_in_c_needs_what_the_docs_say(tmp_path: Path) -> None:
    """process_image.h and the sources that docs/process-image.md names."""
    require_tool("gcc")
    core = ROOT / "cffi_build"
    (tmp_path / "plant.c").write_text(
        '#include "mxrc/process_image.h"\n'
        "int main(void)\n{\n"
        "    struct mxrc_image image;\n    char error[256];\n    double position[1] = {0};\n"
        '    if (mxrc_image_create(&image, "no/name", 1, 1, error, sizeof error) == 0)\n'
        "        mxrc_image_write_inputs(&image, 1, position, position, position);\n"
        "    return 0;\n}\n"
    )
    sources = [*sorted((core / "src").glob("process_image*.c")), core / "src" / "error.c"]
    flags = ["-std=gnu11", "-Werror", f"-I{core}/include", f"-I{core}/src", "-o", "plant"]
    subprocess.run(["gcc", *flags, "plant.c", *sources, "-lrt"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "plant"], check=False).returncode == 0
