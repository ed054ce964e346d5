"""Waiting for the plant behind a process image, before anything of the instance is made."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final

from shared.config import Config
from shared.core import ERROR_BYTES, error_buffer, ffi, lib, to_text
from shared.startup import EX_CONFIG, EX_TEMPFAIL, Refused

PAUSE_S: Final = 0.05


def plant_is_there(name: str, axes: int) -> str:
    """Whether an executive could use this process image: "", or why not yet.

    Raises:
        Refused: it never will: other axes, another layout, somebody else's.
    """
    image = ffi.new("struct mxrc_image *")
    inputs = ffi.new("struct mxrc_image_inputs *")
    error = error_buffer()
    result = lib.mxrc_image_probe(image, name.encode(), axes, error, ERROR_BYTES)
    if result in (errno.EINVAL, errno.EPERM):
        raise Refused(to_text(error), EX_CONFIG)
    if result:
        return to_text(error)
    measured = lib.mxrc_image_read_inputs(image, inputs) and inputs.number > 0
    lib.mxrc_image_close(image)
    return "" if measured else f"process image {name}: the plant has not measured anything yet"


def await_plant(
    config: Config,
    look: Callable[[str, int], str] = plant_is_there,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns once the plant of robot.json has measured something, or at once without one.

    Raises:
        Refused: it did not within driver.start_timeout_s, or never will.
    """
    driver = config.robot.driver
    if driver.name is None:
        return
    until = clock() + driver.start_timeout_s
    while (why := look(driver.name, len(config.robot.axes))) != "":
        if clock() >= until:
            raise Refused(f"{why} (waited {driver.start_timeout_s:g} s)", EX_TEMPFAIL)
        sleep(PAUSE_S)
