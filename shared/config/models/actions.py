"""The actions that a task's sequence is made of.

A new kind of action is a class with a `type` of its own in the union `Action` of blocks.py, and an
operation in the compiler of programs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigModel, Fault, refuse, setting
from shared.config.models.conditions import Condition
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

MAX_VIA_POINTS = 12
MAX_LAW_PARAMETERS = 21
MAX_EVENT_VALUES = 6


class Recovery(ConfigModel):
    """A sequence of `recovery` that runs after the last try."""

    recovery: Name = setting(
        scope="live",
        meaning="Name of the sequence under recovery in this definition.",
        trouble="An unknown name is refused at load.",
    )
    then: Literal["fail", "continue"] = setting(
        "fail",
        scope="live",
        meaning="After it: fail the task, or go on behind the step that failed.",
        trouble="fail inside of a branch fails its parallel block, whose on_failure decides.",
    )


OnFailure = Literal["fail", "skip", "safe_mode"] | Recovery


class Failing(ConfigModel):
    """What every action and a parallel block have."""

    name: Name = setting(
        scope="live",
        meaning="Name of the step in logs, traces and the API.",
        trouble="Two steps of one name in a definition are refused.",
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
        allowed='"fail", "skip", "safe_mode" or {"recovery": name, "then": "fail" or "continue"}',
        meaning="After the last try: fail the task, skip the step, enter SAFE_MODE, or recover.",
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
    via: Annotated[tuple[Positions | NamedPositions, ...], Field(max_length=MAX_VIA_POINTS)] = (
        setting(
            (),
            scope="live",
            allowed=f"a list of at most {MAX_VIA_POINTS} positions in the form of target",
            meaning="Positions on the way, passed near, without a stop; of the axes of target.",
            trouble="Beyond the limits in robot.json, or of other axes: refused at load.",
        )
    )
    profile: Literal["minimum_jerk", "trapezoidal"] = setting(
        "minimum_jerk",
        scope="live",
        meaning="Shape over time: smooth, or constant acceleration, velocity, deceleration.",
        trouble="trapezoidal is quicker and jerks: it excites what swings.",
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


class HoldParameters(DurationParameters):
    """How long, and what."""

    axes: Annotated[tuple[ShortName, ...], Field(min_length=1, max_length=MAX_AXES)] | None = (
        setting(
            None,
            scope="live",
            allowed="null or a list of axis names",
            meaning="Axes to hold; null: those that the task, or the branch around it, moves.",
            trouble="Two branches cannot hold the same axis.",
        )
    )


class WaitForParameters(ConfigModel):
    """What to wait for."""

    condition: Condition = setting(
        scope="live",
        meaning="What has to hold.",
        trouble="Without timeout_ms it is waited for ever.",
    )
    on: Literal["level", "edge"] = setting(
        "level",
        scope="live",
        meaning="level: until it holds; edge: until it begins to hold. Of a key only.",
        trouble="edge of what holds already waits until it has been false.",
    )

    @model_validator(mode="after")
    def _rules(self) -> WaitForParameters:
        if self.on == "edge" and self.condition.event is not None:
            refuse(Fault(("on",), 'must be "level" with event', "each event counts once anyway"))
        return self


class EmitEventParameters(ConfigModel):
    """What to publish."""

    topic: Name = setting(
        scope="live",
        meaning="Topic on the event bus.",
        trouble="Nobody listens: it is counted and logged, no more.",
    )
    values: Annotated[tuple[Position, ...], Field(max_length=MAX_EVENT_VALUES)] = setting(
        (),
        scope="live",
        meaning="Numbers that it carries.",
        trouble=f"At most {MAX_EVENT_VALUES}.",
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


class UserActionParameters(ConfigModel):
    """Which code of the user's own to run, with what, and how long."""

    law: ShortName = setting(
        scope="live",
        meaning="Name of one of task_laws in robot.json.",
        trouble="An unknown name is refused at load.",
    )
    values: Annotated[tuple[Position, ...], Field(max_length=MAX_LAW_PARAMETERS)] | None = setting(
        None,
        scope="live",
        allowed=f"null or a list of at most {MAX_LAW_PARAMETERS} numbers",
        meaning="Its parameters; null: those in robot.json.",
        trouble="Another number of them than in robot.json is refused at load.",
    )
    duration_s: Seconds | None = setting(
        None,
        scope="live",
        meaning="Time in s after which it is done; null: when it says so, or until says so.",
        trouble="Neither this nor until, and code that never ends: the task never does.",
    )
    until: Condition | None = setting(
        None,
        scope="live",
        meaning="It is done as soon as this holds.",
        trouble="What holds already ends it in its first cycle.",
    )


class ControlLawParameters(UserActionParameters):
    """Which law drives which axes."""

    axes: Annotated[tuple[ShortName, ...], Field(min_length=1, max_length=MAX_AXES)] = setting(
        scope="live",
        meaning="Names of the axes whose set-points it makes, within their limits.",
        trouble="Two branches cannot drive the same axis.",
    )


class NoParameters(ConfigModel):
    """An action without parameters."""


class MoveJoints(Failing):
    """Move axes to a position."""

    type: Literal["move_joints"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: MoveJointsParameters = setting(
        scope="live", meaning="Where to move, and how fast.", trouble="Has to be there."
    )


class Wait(Failing):
    """Let time pass; axes keep what they are doing."""

    type: Literal["wait"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: DurationParameters = setting(
        scope="live", meaning="How long.", trouble="Has to be there."
    )


class Hold(Failing):
    """Hold axes at their set-points."""

    type: Literal["hold"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: HoldParameters = setting(
        scope="live", meaning="How long.", trouble="Has to be there."
    )


class WaitFor(Failing):
    """Wait until a condition holds; axes keep what they are doing."""

    type: Literal["wait_for"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: WaitForParameters = setting(
        scope="live", meaning="What to wait for.", trouble="Has to be there."
    )


class EmitEvent(Failing):
    """Publish an event."""

    type: Literal["emit_event"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: EmitEventParameters = setting(
        scope="live", meaning="What to publish.", trouble="Has to be there."
    )


class Log(Failing):
    """Write a line to the RT log."""

    type: Literal["log"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: LogParameters = setting(
        scope="live", meaning="What to log.", trouble="Has to be there."
    )


class SetOutput(Failing):
    """Write a value to the data store; set_value by another name, for what drives an output."""

    type: Literal["set_output"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: SetOutputParameters = setting(
        scope="live", meaning="What to write.", trouble="Has to be there."
    )


class SetValue(Failing):
    """Write a value to the data store."""

    type: Literal["set_value"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: SetOutputParameters = setting(
        scope="live", meaning="What to write.", trouble="Has to be there."
    )


class ControlLaw(Failing):
    """A control law of the user's own makes the set-points of some axes."""

    type: Literal["control_law"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: ControlLawParameters = setting(
        scope="live", meaning="Which law, which axes, how long.", trouble="Has to be there."
    )


class UserAction(Failing):
    """Code of the user's own that drives no axis, by the interface of control laws."""

    type: Literal["user_action"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: UserActionParameters = setting(
        scope="live", meaning="Which code, how long.", trouble="Has to be there."
    )


class SafeStop(Failing):
    """Enter SAFE_MODE: each axis does what robot.json says."""

    type: Literal["safe_stop"] = setting(
        scope="live", meaning="Kind of action.", trouble="Unknown: refused."
    )
    parameters: NoParameters = setting(
        scope="live", default_factory=NoParameters, meaning="None.", trouble="Has to be empty."
    )
