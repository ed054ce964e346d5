"""robot.json, driver and law: where the outputs go, and what makes them."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from shared.config.base import ConfigModel, Fault, refuse, setting
from shared.config.models.names import ShortName

MAX_PARAMETERS = 64
MAX_TASK_LAWS = 8
MAX_TASK_PARAMETERS = 21
BUILTIN_LAWS = ("position_servo",)


class Driver(ConfigModel):
    """What the outputs go to."""

    type: Literal["simulated", "process_image"] = setting(
        "simulated",
        meaning="simulated: a plant inside the RT process; process_image: another process, the "
        "plant, behind a segment of its own (docs/process-image.md).",
        trouble="An unknown driver is refused.",
    )
    time_constant_ms: float = setting(
        20.0,
        gt=0,
        le=10_000,
        meaning="simulated: time constant in ms of the lag behind position commands.",
        trouble="Long values make positions trail behind the set-points.",
    )
    inertia: float = setting(
        1.0,
        gt=0,
        le=1e6,
        meaning="simulated: inertia of each axis under effort commands, kg m^2 or kg.",
        trouble="With a low inertia a stiff control law is unstable.",
    )
    damping: float = setting(
        0.5,
        ge=0,
        le=1e6,
        meaning="simulated: viscous damping of each axis under effort commands, N m s/rad or "
        "N s/m.",
        trouble="Without any, a law without damping oscillates for ever.",
    )
    name: ShortName | None = setting(
        None,
        meaning="process_image: the name that the plant has given it (segment "
        "/mxrc-image-<name>); required.",
        trouble="Two instances behind one process image: the second is refused.",
    )
    input_timeout_ms: float = setting(
        20.0,
        gt=0,
        le=10_000,
        meaning="process_image: inputs that are older, in ms, are a fault: SAFE_MODE.",
        trouble="Below a few periods of the plant each hiccup of it stops the machine.",
    )
    start_timeout_s: float = setting(
        10.0,
        ge=0,
        le=3600,
        meaning="process_image: how long to wait at the start for the plant, in s.",
        trouble="When it does not come the RT process ends with status 75 and is started again.",
    )

    @model_validator(mode="after")
    def _rules(self) -> Driver:
        if self.type == "process_image" and self.name is None:
            refuse(Fault(("name",), "must be given with driver process_image"))
        if self.type != "process_image" and self.name is not None:
            refuse(Fault(("name",), f"must be left out with driver {self.type}"))
        return self


class Law(ConfigModel):
    """The control law between set-points and outputs (docs/control-laws.md)."""

    type: Literal["builtin", "c", "numba"] = setting(
        "builtin",
        meaning="builtin: one of mxrc's own; c: in a shared object; numba: a Python function that "
        "numba compiles at the start (extra `numba`).",
        trouble="What cannot be loaded is refused at the start.",
    )
    path: str | None = setting(
        None,
        min_length=1,
        max_length=4000,
        meaning="c, numba: the file (.so, .py); relative to the folder of the configuration.",
        trouble="A file that group or others may write, or that belongs to somebody else, is "
        "refused: it is code that moves a machine.",
    )
    symbol: str = setting(
        "position_servo",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,126}$",
        meaning="Name of the law: builtin position_servo hands set-points to drives that close "
        "their own loops; c: of the struct mxrc_law; numba: of the decorated function.",
        trouble="A symbol that the file does not have is refused.",
    )
    parameters: tuple[float, ...] = setting(
        (),
        max_length=MAX_PARAMETERS,
        meaning="Its parameters, in the order and units that the law states.",
        trouble="Another number of them than the law takes is refused.",
    )

    @model_validator(mode="after")
    def _rules(self) -> Law:
        if self.type != "builtin" and self.path is None:
            refuse(Fault(("path",), f"must be given with law type {self.type}"))
        if self.type == "builtin":
            if self.path is not None:
                refuse(Fault(("path",), "must be left out with law type builtin"))
            if self.symbol not in BUILTIN_LAWS:
                refuse(Fault(("symbol",), f"must be one of {', '.join(BUILTIN_LAWS)}"))
        return self


class TaskLaw(ConfigModel):
    """Code of the user's own for the actions control_law and user_action (docs/control-laws.md)."""

    name: ShortName = setting(
        meaning="Name that tasks use for it, in the log as well.",
        trouble="Two of one name are refused.",
    )
    type: Literal["c", "numba"] = setting(
        meaning="c: in a shared object; numba: a Python function that numba compiles at the start "
        "(extra `numba`).",
        trouble="What cannot be loaded is refused at the start.",
    )
    path: str = setting(
        min_length=1,
        max_length=4000,
        meaning="The file (.so, .py); relative to the folder of the configuration.",
        trouble="A file that group or others may write, or that belongs to somebody else, is "
        "refused: it is code that moves a machine.",
    )
    symbol: str = setting(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,126}$",
        meaning="c: name of the struct mxrc_law; numba: of the decorated function.",
        trouble="A symbol that the file does not have is refused.",
    )
    parameters: tuple[float, ...] = setting(
        (),
        max_length=MAX_TASK_PARAMETERS,
        meaning="What an action without parameters of its own runs it with, in the order and units "
        "that the law states; as many as it takes.",
        trouble="Another number of them than the law takes is refused.",
    )
