"""The actions that a task's sequence is made of.

A new kind of action is a class with a `type` of its own in the union `Action`, and an operation
in the compiler of programs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigModel, Fault, refuse, setting
from shared.config.models.datastore import MAX_STRING_BYTES, Value
from shared.config.models.logging import Level
from shared.config.models.names import Name, ShortName
from shared.config.models.parameters import Substitutable
from shared.config.models.robot import MAX_AXES

MAX_DURATION_S = 86_400.0
Text = Annotated[str, Field(min_length=1, max_length=255), Substitutable()]
Seconds = Annotated[float, Field(gt=0, le=MAX_DURATION_S), Substitutable()]
Share = Annotated[float, Field(gt=0, le=1), Substitutable()]
Position = Annotated[float, Field(ge=-1e9, le=1e9), Substitutable()]
Positions = Annotated[tuple[Position, ...], Field(min_length=1, max_length=MAX_AXES)]
NamedPositions = Annotated[dict[ShortName, Position], Field(min_length=1, max_length=MAX_AXES)]

OnFailure = Literal["fail", "skip", "safe_mode"]


class _Action(ConfigModel):
    """What every action has."""

    name: Name = setting(
        scope="live",
        meaning="Name of the step in logs, traces and the API.",
        trouble="Two steps of one name in a sequence are refused.",
    )
    timeout_ms: int | None = setting(
        None,
        scope="live",
        ge=1,
        le=86_400_000,
        meaning="Time in ms after which the action ends as TIMEOUT; null: none.",
        trouble="Shorter than the action takes: it times out every time.",
    )
    retries: int = setting(
        0,
        scope="live",
        ge=0,
        le=100,
        meaning="How often a failed or timed-out action is tried again.",
        trouble="Each try counts its timeout anew.",
    )
    backoff_ms: int = setting(
        0,
        scope="live",
        ge=0,
        le=600_000,
        meaning="Wait before a retry in ms.",
        trouble="Without retries it has no effect.",
    )
    on_failure: OnFailure = setting(
        "fail",
        scope="live",
        meaning="After the last try: fail the task, skip the action, or enter SAFE_MODE.",
        trouble="skip goes on from wherever the axes stopped.",
    )


class MoveJointsParameters(ConfigModel):
    """Where to move, and how fast."""

    target: Positions | NamedPositions = setting(
        scope="live",
        allowed="a list with a position for each axis, or an object of axis name: position",
        meaning="Positions to move to, in the units of the axes; unnamed axes stay.",
        trouble="Beyond the limits in robot.json it is refused at load.",
    )
    duration_s: Seconds | None = setting(
        None,
        scope="live",
        meaning="Duration of the move in s; this or velocity_scale.",
        trouble="Too short for the limits of an axis: refused, with the time that it needs.",
    )
    velocity_scale: Share | None = setting(
        None,
        scope="live",
        meaning="Share of the limits to use; the slowest axis sets the duration. Or duration_s.",
        trouble="Small values take long: mind timeout_ms.",
    )
    profile: Literal["minimum_jerk"] = setting(
        "minimum_jerk",
        scope="live",
        meaning="Shape of the move over time.",
        trouble="There is no other yet.",
    )

    @model_validator(mode="after")
    def _rules(self) -> MoveJointsParameters:
        if (self.duration_s is None) == (self.velocity_scale is None):
            field = "duration_s" if self.duration_s is None else "velocity_scale"
            refuse(Fault((field,), "must be given if and only if the other one is not"))
        return self


class DurationParameters(ConfigModel):
    """How long."""

    duration_s: Seconds = setting(
        scope="live",
        meaning="Duration in s, rounded up to whole cycles.",
        trouble="Longer than timeout_ms: it times out every time, so that is refused.",
    )


class LogParameters(ConfigModel):
    """What to log."""

    message: Text = setting(
        scope="live",
        meaning="Text of the log line.",
        trouble="Nothing.",
    )
    level: Annotated[Level, Substitutable()] = setting(
        "info",
        scope="live",
        meaning="Level of the line.",
        trouble="Below the level in force: no line.",
    )


class SetOutputParameters(ConfigModel):
    """What to write to the data store."""

    key: Name = setting(
        scope="live",
        meaning="Key of datastore.json whose writer is rt.",
        trouble="An unknown key, or one of the other side, is refused at load.",
    )
    value: Annotated[Value, Substitutable()] = setting(
        scope="live",
        meaning=f"Value of the key's type; a string has at most {MAX_STRING_BYTES} bytes.",
        trouble="Another type, or beyond min and max of the key: refused at load.",
    )


class NoParameters(ConfigModel):
    """An action without parameters."""


class MoveJoints(_Action):
    """Move axes to a position."""

    type: Literal["move_joints"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: MoveJointsParameters = setting(
        scope="live", meaning="Where to move, and how fast.", trouble="Has to be there."
    )


class Wait(_Action):
    """Let time pass; axes keep what they are doing."""

    type: Literal["wait"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: DurationParameters = setting(
        scope="live", meaning="How long.", trouble="Has to be there."
    )


class Hold(_Action):
    """Hold all axes of the task at their set-points."""

    type: Literal["hold"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: DurationParameters = setting(
        scope="live", meaning="How long.", trouble="Has to be there."
    )


class Log(_Action):
    """Write a line to the RT log."""

    type: Literal["log"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: LogParameters = setting(
        scope="live", meaning="What to log.", trouble="Has to be there."
    )


class SetOutput(_Action):
    """Write a value to the data store."""

    type: Literal["set_output"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: SetOutputParameters = setting(
        scope="live", meaning="What to write.", trouble="Has to be there."
    )


class SafeStop(_Action):
    """Enter SAFE_MODE: each axis does what robot.json says."""

    type: Literal["safe_stop"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: NoParameters = setting(
        scope="live", default_factory=NoParameters, meaning="None.", trouble="Has to be empty."
    )


Action = Annotated[
    MoveJoints | Wait | Hold | Log | SetOutput | SafeStop, Field(discriminator="type")
]
