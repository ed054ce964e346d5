"""Compile a task definition to the program that the executive runs. Needs no numpy.

A program is a header and a list of operations of fixed size (struct mxrc_program, struct mxrc_op),
with names interned, keys of the data store as handles, and a CRC32C over the whole. RT copies it,
checks it again, and runs the copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.axes import axis_configs
from shared.config.models.robot import RobotConfig
from shared.config.models.tasks import TaskDefinition
from shared.config.step_path import step_and_field
from shared.config.task_checks import task_faults
from shared.core import ffi, from_text, lib
from shared.datastore import Key
from shared.enums import LatePolicy, NameKind, OpKind, RestartPolicy, Result, TaskMode, name_of
from shared.program.actions import Actions, Intern
from shared.program.blocks import Layout
from shared.program.builder import MAX_OPS, Builder
from shared.program.conditions import encode
from shared.program.errors import ProgramError
from shared.program.resolve import found_at, with_parameters

MAX_ACTIONS: Final = MAX_OPS - 1
"""Actions that fit: the last operation is the end."""
_TEXT_BYTES: Final = int(lib.MXRC_TEXT_BYTES)

_AFTER: Final = {
    "resume": RestartPolicy.RESUME,
    "restart": RestartPolicy.RESTART,
    "fail": RestartPolicy.FAIL,
}
_LATE: Final = {"skip": LatePolicy.SKIP, "queue": LatePolicy.QUEUE}
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
    mode = mode or definition.mode
    _check_start(definition, task_id, mode)
    builder = Builder(task_id)
    actions = Actions(builder, robot, keys, intern)
    Layout(definition, robot, builder, actions).run()
    _write_header(definition, mode, builder, actions)
    _validate(builder, robot, len(keys))
    program = builder.slot.program
    data = bytes(ffi.buffer(builder.slot, int(program.bytes)))
    return Program(data, int(program.crc), builder.count, builder.axes)


def renamed(program: Program, task_id: str) -> Program:
    """The same program for a start under another name.

    Raises:
        ProgramError: the name is too long.
    """
    check_name(task_id)
    slot = ffi.new("struct mxrc_program_slot *")
    ffi.memmove(slot, program.data, len(program.data))
    slot.program.task_id = from_text(task_id, _TEXT_BYTES)
    slot.program.crc = lib.mxrc_program_checksum(slot)
    data = bytes(ffi.buffer(slot, len(program.data)))
    return Program(data, int(slot.program.crc), program.op_count, program.axes)


def check_name(task_id: str) -> None:
    """Raises ProgramError when a program cannot have that name."""
    if len(task_id.encode()) >= _TEXT_BYTES:
        raise ProgramError(task_id, "", "task_id", f"must have at most {_TEXT_BYTES - 1} bytes")


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


def _check_start(definition: TaskDefinition, task_id: str, mode: str) -> None:
    def refuse(field: str, message: str) -> None:
        raise ProgramError(task_id, "", field, message)

    check_name(task_id)
    if mode not in _MODES:
        refuse("mode", f"found {mode!r:.40}: must be once, periodic or triggered")
    if mode == "periodic" and definition.period_ms is None:
        refuse("mode", f"periodic needs period_ms in the definition {definition.key}")
    if mode == "triggered" and definition.trigger is None:
        refuse("mode", f"triggered needs trigger in the definition {definition.key}")


def _write_header(
    definition: TaskDefinition, mode: str, builder: Builder, actions: Actions
) -> None:
    program = builder.slot.program
    program.magic = lib.MXRC_PROGRAM_MAGIC
    program.version = lib.MXRC_PROGRAM_VERSION
    program.bytes = ffi.sizeof("struct mxrc_program") + builder.count * ffi.sizeof("struct mxrc_op")
    program.op_count = builder.count
    program.axes = builder.axes
    program.task_name = actions.intern(NameKind.TASK, definition.key)
    program.sequence_name = actions.intern(NameKind.SEQUENCE, definition.sequence.name)
    program.mode = int(_MODES[mode])
    program.priority = definition.priority
    program.on_restart = int(_AFTER[definition.on_restart])
    program.on_safe_mode = int(_AFTER[definition.on_safe_mode])
    program.task_id = from_text(builder.task_id, _TEXT_BYTES)
    if mode != "once":
        program.on_late = int(_LATE[definition.still_running])
    if mode == "periodic":
        program.period_ns = (definition.period_ms or 0) * 1_000_000
    if mode == "triggered" and (trigger := definition.trigger) is not None:
        program.rearm_ns = trigger.rearm_ms * 1_000_000
        edge = trigger.on == "edge"
        encode(program.trigger, trigger, actions.keys, actions.topic, edge=edge)
    actions.write_topics(program)
    program.crc = lib.mxrc_program_checksum(builder.slot)


def _validate(builder: Builder, robot: RobotConfig, key_count: int) -> None:
    """What RT would refuse is refused here, with words."""
    bad_op = ffi.new("uint32_t *")
    result = lib.mxrc_program_validate(
        builder.slot, axis_configs(robot), len(robot.axes), key_count, bad_op
    )
    if result == Result.OK:
        return
    index = int(bad_op[0])
    step = builder.steps[index] if index < builder.count else ""
    if index < builder.count and builder.slot.op[index].kind == OpKind.REPEAT:
        message = "a round may take no time: give it a count, or put an action in that takes some"
    else:
        message = f"refused by the core: {name_of(Result, result)}"
    raise ProgramError(builder.task_id, step, "", message)
