"""Compile a task definition to the program that the executive runs. Needs no numpy.

A program is a header and a list of operations of fixed size (struct mxrc_program, struct mxrc_op),
with names interned, keys of the data store as handles, and a CRC32C over the whole. RT copies it,
checks it again, and runs the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from shared.axes import axis_configs
from shared.config.models.actions import (
    Action,
    Hold,
    Log,
    MoveJoints,
    SafeStop,
    SetOutput,
    Wait,
)
from shared.config.models.robot import RobotConfig
from shared.config.models.tasks import TaskDefinition
from shared.config.motion_checks import axis_targets
from shared.config.step_path import step_and_field
from shared.config.task_checks import task_faults
from shared.core import ffi, from_text, lib
from shared.datastore import Key
from shared.enums import (
    Level,
    NameKind,
    OnFailure,
    OpKind,
    RestartPolicy,
    Result,
    TaskMode,
    name_of,
)
from shared.names import NAME_BYTES
from shared.program.errors import ProgramError
from shared.program.resolve import found_at, with_parameters

Intern = Callable[[NameKind, str], int]

MAX_OPS: Final = int(lib.MXRC_PROGRAM_OPS)
MAX_ACTIONS: Final = MAX_OPS - 1
"""Actions that fit: the last operation is the end."""
LOG_PARTS: Final = 4
_ARGS: Final = int(lib.MXRC_OP_ARGS)
SCALE_ARG: Final = int(lib.MXRC_AXES)
_TEXT_BYTES: Final = int(lib.MXRC_TEXT_BYTES)

_ON_FAILURE: Final = {
    "fail": OnFailure.TASK,
    "skip": OnFailure.SKIP,
    "safe_mode": OnFailure.SAFE_MODE,
}
_ON_RESTART: Final = {
    "resume": RestartPolicy.RESUME,
    "restart": RestartPolicy.RESTART,
    "fail": RestartPolicy.FAIL,
}
_MODES: Final = {
    "once": TaskMode.ONCE,
    "periodic": TaskMode.PERIODIC,
    "triggered": TaskMode.TRIGGERED,
}


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled task. data: for the staging slot. axes: bit mask of the axes that it moves."""

    data: bytes
    crc: int
    op_count: int
    axes: int


def compile_task(
    definition: TaskDefinition,
    robot: RobotConfig,
    keys: Mapping[str, Key],
    intern: Intern,
    *,
    task_id: str,
    mode: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Program:
    """Compile `definition` for a start under the name `task_id`.

    keys: DataStore.keys of the generation it will run in; intern: Names.intern of the same.
    mode: once, periodic or triggered; None: the definition's.
    parameters: values for some of those that the definition declares.

    Raises:
        ProgramError: names task, step and field.
        NamesFull: the segment has no room for the names.
    """
    definition = with_parameters(definition, parameters or {}, task_id)
    _refuse_faults(definition, robot, keys, task_id)
    return _Compiler(definition, robot, keys, intern, task_id).run(mode or definition.mode)


def _refuse_faults(
    definition: TaskDefinition, robot: RobotConfig, keys: Mapping[str, Key], task_id: str
) -> None:
    known = {name: key.definition for name, key in keys.items()}
    for fault in task_faults(definition, robot, known):
        document = definition.model_dump(by_alias=True)
        step, field = step_and_field(document, fault.loc)
        hint = f" ({fault.hint})" if fault.hint else ""
        found = found_at(definition, fault.loc)
        raise ProgramError(task_id, step, field, f"{found}: {fault.allowed}{hint}")


class _Compiler:
    def __init__(
        self,
        definition: TaskDefinition,
        robot: RobotConfig,
        keys: Mapping[str, Key],
        intern: Intern,
        task_id: str,
    ) -> None:
        self.definition = definition
        self.robot = robot
        self.keys = keys
        self.intern = intern
        self.task_id = task_id
        self.step = ""
        self.slot: Any = ffi.new("struct mxrc_program_slot *")

    def run(self, mode: str) -> Program:
        self._check_start(mode)
        actions = self.definition.sequence.actions
        if len(actions) > MAX_ACTIONS:
            self._refuse(
                "sequence.actions", f"has {len(actions)} actions, at most {MAX_ACTIONS} fit"
            )
        for index, action in enumerate(actions):
            self.step = action.name
            self._operation(self.slot.op[index], index, action)
        self.step = ""
        self.slot.op[len(actions)].kind = int(OpKind.END)
        self.slot.op[len(actions)].next = len(actions)
        moved = 0
        for index in range(len(actions)):
            moved |= int(self.slot.op[index].axes)
        if not moved and any(isinstance(action, Hold) for action in actions):
            moved = (1 << len(self.robot.axes)) - 1  # a task that only holds, holds the whole robot
        for index, action in enumerate(actions):
            if isinstance(action, Hold):
                self.slot.op[index].axes = moved
        return self._finish(mode, len(actions) + 1, moved)

    def _refuse(self, field: str, message: str) -> NoReturn:
        raise ProgramError(self.task_id, self.step, field, message)

    def _check_start(self, mode: str) -> None:
        if len(self.task_id.encode()) >= _TEXT_BYTES:
            self._refuse("task_id", f"must have at most {_TEXT_BYTES - 1} bytes")
        if mode not in _MODES:
            self._refuse("mode", f"found {mode!r:.40}: must be once, periodic or triggered")
        if mode == "periodic" and self.definition.period_ms is None:
            self._refuse(
                "mode", f"periodic needs period_ms in the definition {self.definition.key}"
            )
        if mode == "triggered" and self.definition.trigger is None:
            self._refuse("mode", f"triggered needs trigger in the definition {self.definition.key}")

    def _operation(self, op: Any, index: int, action: Action) -> None:
        op.action_name = self.intern(NameKind.ACTION, action.name)
        op.on_failure = int(_ON_FAILURE[action.on_failure])
        op.timeout_ns = (action.timeout_ms or 0) * 1_000_000
        op.backoff_ns = action.backoff_ms * 1_000_000
        op.retries = action.retries
        op.next = index + 1
        if isinstance(action, MoveJoints):
            self._move(op, action)
        elif isinstance(action, (Wait, Hold)):
            op.kind = int(OpKind.WAIT if isinstance(action, Wait) else OpKind.HOLD)
            op.duration_ns = _ns(action.parameters.duration_s)
        elif isinstance(action, Log):
            self._log(op, action)
        elif isinstance(action, SetOutput):
            self._set_output(op, action)
        elif isinstance(action, SafeStop):
            op.kind = int(OpKind.SAFE_STOP)

    def _move(self, op: Any, action: MoveJoints) -> None:
        op.kind = int(OpKind.MOVE_JOINTS)
        for index, position in axis_targets(action.parameters.target, self.robot)[1].items():
            op.args[index] = position
            op.axes |= 1 << index
        if action.parameters.duration_s is not None:
            op.duration_ns = _ns(action.parameters.duration_s)
        else:
            op.args[SCALE_ARG] = action.parameters.velocity_scale or 0.0

    def _log(self, op: Any, action: Log) -> None:
        op.kind = int(OpKind.LOG)
        op.key = int(Level[action.parameters.level.upper()])
        parts = _parts(action.parameters.message)
        if len(parts) > LOG_PARTS:
            room = LOG_PARTS * (NAME_BYTES - 1)
            self._refuse("message", f"must have at most {room} bytes of UTF-8")
        for index, part in enumerate(parts):
            op.args[index] = self.intern(NameKind.TOPIC, part)

    def _set_output(self, op: Any, action: SetOutput) -> None:
        op.kind = int(OpKind.SET_VALUE)
        value = action.parameters.value
        op.key = self.keys[action.parameters.key].handle
        for index, number in enumerate(value if isinstance(value, tuple) else (value,)):
            op.args[index] = float(number)

    def _finish(self, mode: str, op_count: int, axes: int) -> Program:
        program = self.slot.program
        program.magic = lib.MXRC_PROGRAM_MAGIC
        program.version = lib.MXRC_PROGRAM_VERSION
        program.bytes = ffi.sizeof("struct mxrc_program") + op_count * ffi.sizeof("struct mxrc_op")
        program.op_count = op_count
        program.axes = axes
        program.task_name = self.intern(NameKind.TASK, self.definition.key)
        program.sequence_name = self.intern(NameKind.SEQUENCE, self.definition.sequence.name)
        program.mode = int(_MODES[mode])
        program.priority = self.definition.priority
        program.period_ns = (
            (self.definition.period_ms or 0) * 1_000_000 if mode == "periodic" else 0
        )
        program.on_restart = int(_ON_RESTART[self.definition.on_restart])
        program.on_safe_mode = int(_ON_RESTART[self.definition.on_safe_mode])
        program.task_id = from_text(self.task_id, _TEXT_BYTES)
        program.crc = lib.mxrc_program_checksum(self.slot)
        self._validate()
        data = bytes(ffi.buffer(self.slot, int(program.bytes)))
        return Program(data, int(program.crc), op_count, axes)

    def _validate(self) -> None:
        """What RT would refuse is refused here, with words."""
        bad_op = ffi.new("uint32_t *")
        result = lib.mxrc_program_validate(
            self.slot, axis_configs(self.robot), len(self.robot.axes), len(self.keys), bad_op
        )
        if result != Result.OK:
            actions = self.definition.sequence.actions
            self.step = actions[bad_op[0]].name if bad_op[0] < len(actions) else ""
            self._refuse("", f"refused by the core: {name_of(Result, result)}")


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _parts(text: str) -> list[str]:
    """`text` cut into names of at most NAME_BYTES - 1 bytes of UTF-8."""
    parts: list[str] = []
    while text:
        part = from_text(text, NAME_BYTES).decode()
        parts.append(part)
        text = text[len(part) :]
    return parts
