"""The plant's side of a process image in Python: inputs to an executive, outputs from it.

The layout, and what makes stale outputs impossible, are in cffi_build/include/mxrc/process_image.h;
docs/process-image.md tells how to write a plant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.core import ERROR_BYTES, MxrcError, error_buffer, ffi, lib, now_ns, to_text
from shared.enums import ImageCommand, ImageTake

_ENUM_KIND: Final = {int(kind): kind for kind in ImageCommand}
_ENUM_TAKE: Final = {int(take): take for take in ImageTake}


class ImageError(MxrcError):
    """A process image cannot be made or used; the message is the core's."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is to reach the devices now.

    take: TAKEN: a new commit; HELD: the one before is in force; STOPPED: commits have stopped.
    kind: SAFE: hold or brake; POSITION: rad or m; EFFORT: N m or N.
    command: float64[axes]; with SAFE the positions that the axes had when it began.
    cycle: of the executive. epoch: of the PRIMARY that made them; both 0 before the first.
    """

    take: ImageTake
    kind: ImageCommand
    command: NDArray[np.float64]
    cycle: int
    epoch: int


class Plant:
    """A plant's process image; one process at a time, used by one thread. A context manager."""

    def __init__(self, name: str, axes: int, *, watchdog_s: float = 0.1) -> None:
        """Make the segment `/mxrc-image-<name>`, or go on with the one a plant before has left.

        watchdog_s: without a commit for so long outputs are SAFE.

        Raises:
            ImageError: the name or the number of axes is impossible, or a plant works on it.
        """
        if not watchdog_s > 0:
            raise ImageError(f"watchdog_s is {watchdog_s}, must be above 0")
        self.axes = axes
        self._image = ffi.new("struct mxrc_image *")
        self._outputs = ffi.new("struct mxrc_image_outputs *")
        error = error_buffer()
        if lib.mxrc_image_create(
            self._image, name.encode(), axes, round(watchdog_s * 1e9), error, ERROR_BYTES
        ):
            raise ImageError(to_text(error))
        self._command = np.frombuffer(ffi.buffer(self._outputs.command), np.float64)[:axes]

    def write(
        self,
        position: NDArray[np.float64] | Sequence[float],
        velocity: NDArray[np.float64] | Sequence[float],
        effort: NDArray[np.float64] | Sequence[float] | None = None,
        *,
        time_ns: int | None = None,
    ) -> None:
        """Publish measured motion: `axes` values each, of time_ns on CLOCK_MONOTONIC (now).

        Raises:
            ValueError: another number of values.
        """
        lib.mxrc_image_write_inputs(
            self._image,
            now_ns() if time_ns is None else time_ns,
            self._doubles(position),
            self._doubles(velocity),
            ffi.NULL if effort is None else self._doubles(effort),
        )

    def read(self, *, time_ns: int | None = None) -> Outputs:
        """What is to reach the devices now; call it once a period, commits or not."""
        out = self._outputs
        now = now_ns() if time_ns is None else time_ns
        take = lib.mxrc_image_read_outputs(self._image, now, out)
        return Outputs(
            take=_ENUM_TAKE[take],
            kind=_ENUM_KIND.get(out.kind, ImageCommand.SAFE),
            command=self._command.copy(),
            cycle=int(out.cycle),
            epoch=int(out.head >> 32),
        )

    def close(self) -> None:
        """Leave; the segment goes when no executive is attached."""
        lib.mxrc_image_close(self._image)

    def __enter__(self) -> Plant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _doubles(self, values: NDArray[np.float64] | Sequence[float]) -> Any:
        array = np.ascontiguousarray(values, np.float64)
        if array.shape != (self.axes,):
            raise ValueError(f"{array.shape} values; the plant has {self.axes} axes")
        return ffi.from_buffer("double[]", array)
