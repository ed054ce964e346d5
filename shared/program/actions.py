"""Actions as operations: what each kind puts into its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.config.models.actions import (
    ControlLaw,
    EmitEvent,
    Hold,
    Log,
    MoveJoints,
    SafeStop,
    SetOutput,
    SetValue,
    UserAction,
    Wait,
    WaitFor,
)
from shared.config.models.blocks import Action
from shared.config.models.robot import RobotConfig
from shared.config.motion_checks import axis_targets
from shared.core import from_text, lib
from shared.datastore import Key
from shared.enums import Level, NameKind, OpKind, Profile
from shared.names import NAME_BYTES
from shared.program.builder import Builder
from shared.program.conditions import encode
from shared.program.errors import ProgramError

Intern = Callable[[NameKind, str], int]

LOG_PARTS: Final = 4
AXES: Final = int(lib.MXRC_AXES)
SCALE_ARG: Final = AXES
VIA_PER_OP: Final = int(lib.MXRC_VIA_PER_OP)
MAX_TOPICS: Final = int(lib.MXRC_PROGRAM_TOPICS)

_PROFILES: Final = {
    "minimum_jerk": Profile.MINIMUM_JERK,
    "trapezoidal": Profile.TRAPEZOIDAL,
}
_KINDS: Final[dict[type, OpKind]] = {
    MoveJoints: OpKind.MOVE_JOINTS,
    Wait: OpKind.WAIT,
    Hold: OpKind.HOLD,
    WaitFor: OpKind.WAIT_FOR,
    ControlLaw: OpKind.CONTROL_LAW,
    UserAction: OpKind.CONTROL_LAW,
    Log: OpKind.LOG,
    EmitEvent: OpKind.EMIT_EVENT,
    SetValue: OpKind.SET_VALUE,
    SetOutput: OpKind.SET_VALUE,
    SafeStop: OpKind.SAFE_STOP,
}
_UNKNOWN_TIME_S: Final = 1.0
"""For the estimate of progress: moves whose way is not known, waits for something."""


class Actions:
    """Emits the operations of single actions, which were checked before."""

    def __init__(
        self, builder: Builder, robot: RobotConfig, keys: Mapping[str, Key], intern: Intern
    ) -> None:
        self.builder = builder
        self.robot = robot
        self.keys = keys
        self.intern = intern
        self._topics: list[str] = []

    def emit(self, action: Action, step: str, rounds: float, hold_axes: int) -> int:
        """Index of the action's operation; its via points follow it.

        rounds: how often it is expected to run. hold_axes: what a hold without axes holds.
        """
        name = self.intern(NameKind.ACTION, action.name)
        weight = _expected_s(action) * rounds
        index, op = self.builder.emit(_KINDS[type(action)], step, name, weight)
        if isinstance(action, MoveJoints):
            self._move(op, action, step, name)
        elif isinstance(action, (Wait, Hold)):
            op.duration_ns = ns(action.parameters.duration_s)
            if isinstance(action, Hold):
                names = action.parameters.axes
                op.axes = hold_axes if names is None else self._mask(names)
        elif isinstance(action, WaitFor):
            edge = action.parameters.on == "edge"
            encode(op.condition, action.parameters.condition, self.keys, self.topic, edge=edge)
        elif isinstance(action, (ControlLaw, UserAction)):
            self._law(op, action)
        elif isinstance(action, Log):
            self._log(op, action, step)
        elif isinstance(action, EmitEvent):
            op.key = self.intern(NameKind.TOPIC, action.parameters.topic)
            op.count = len(action.parameters.values)
            _fill(op.args, action.parameters.values)
        elif isinstance(action, (SetOutput, SetValue)):
            value = action.parameters.value
            op.key = self.keys[action.parameters.key].handle
            _fill(op.args, value if isinstance(value, tuple) else (value,))
        return index

    def topic(self, name: str) -> int:
        """Index of a topic that the program listens to."""
        if name not in self._topics:
            self._topics.append(name)
        return self._topics.index(name)

    def write_topics(self, program: Any) -> None:
        """Topics listened to, into the program's header."""
        program.topic_count = len(self._topics)
        for index, name in enumerate(self._topics):
            program.topic[index] = self.intern(NameKind.TOPIC, name)

    def _move(self, op: Any, action: MoveJoints, step: str, name: int) -> None:
        parameters = action.parameters
        op.key = int(_PROFILES[parameters.profile])
        for axis, position in axis_targets(parameters.target, self.robot)[1].items():
            op.args[axis] = position
            op.axes |= 1 << axis
        if parameters.duration_s is not None:
            op.duration_ns = ns(parameters.duration_s)
        else:
            op.args[SCALE_ARG] = parameters.velocity_scale or 0.0
        op.count = len(parameters.via)
        via: Any = None
        for point, positions in enumerate(parameters.via):
            if point % VIA_PER_OP == 0:
                _, via = self.builder.emit(OpKind.VIA, step, name)
            for axis, position in axis_targets(positions, self.robot)[1].items():
                via.args[point % VIA_PER_OP * AXES + axis] = position

    def _law(self, op: Any, action: ControlLaw | UserAction) -> None:
        parameters = action.parameters
        op.key = self.robot.task_law_index[parameters.law]
        op.identity = name_identity(parameters.law)
        values = parameters.values
        if values is None:
            values = self.robot.task_laws[op.key].parameters
        op.count = len(values)
        _fill(op.args, values)
        if isinstance(action, ControlLaw):
            op.axes = self._mask(action.parameters.axes)
        if parameters.duration_s is not None:
            op.duration_ns = ns(parameters.duration_s)
        if parameters.until is not None:
            encode(op.condition, parameters.until, self.keys, self.topic)

    def _mask(self, names: tuple[str, ...]) -> int:
        mask = 0
        for name in names:
            mask |= 1 << self.robot.axis_index[name]
        return mask

    def _log(self, op: Any, action: Log, step: str) -> None:
        op.key = int(Level[action.parameters.level.upper()])
        parts = _parts(action.parameters.message)
        if len(parts) > LOG_PARTS:
            room = LOG_PARTS * (NAME_BYTES - 1)
            raise ProgramError(
                self.builder.task_id, step, "message", f"must have at most {room} bytes of UTF-8"
            )
        for index, part in enumerate(parts):
            op.args[index] = self.intern(NameKind.TOPIC, part)


def name_identity(name: str) -> int:
    """What the core makes of a law's name, so that a handle stands for no other law."""
    text = name.encode()
    return int(lib.mxrc_crc32c(0, text, len(text)))


def ns(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * 1e9)


def _fill(args: Any, values: tuple[Any, ...]) -> None:
    for index, value in enumerate(values):
        args[index] = float(value)


def _expected_s(action: Action) -> float:
    if isinstance(action, (Wait, Hold)):
        return action.parameters.duration_s
    if isinstance(action, (MoveJoints, ControlLaw, UserAction)):
        return action.parameters.duration_s or _UNKNOWN_TIME_S
    return _UNKNOWN_TIME_S if isinstance(action, WaitFor) else 0.0


def _parts(text: str) -> list[str]:
    """`text` cut into names of at most NAME_BYTES - 1 bytes of UTF-8."""
    parts: list[str] = []
    while text:
        part = from_text(text, NAME_BYTES).decode()
        parts.append(part)
        text = text[len(part) :]
    return parts
