"""From a request to a checked, compilable task: definition, parameters, program."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from nonrt_process.interfaces import Compile, InvalidTask, TaskMode, UnknownDefinition
from nonrt_process.tasks.programs import MAX_KEPT, Programs
from shared.config import Config
from shared.config.models.tasks import TaskDefinition
from shared.datastore import Key
from shared.enums import NameKind
from shared.program import Program, ProgramError, check_name, compile_task
from shared.program.scratch import scratch_keys

_CHECKED: Final = Programs()
"""Compiled without a generation."""
_SENT: Final = Programs()
_SERIALIZED: Final[dict[int, tuple[TaskDefinition, str, str]]] = {}


@dataclass(frozen=True, slots=True)
class Checked:
    """A definition that can be run as asked. document: itself as JSON. axes: bit mask it moves."""

    definition: TaskDefinition
    document: str
    digest: str
    axes: int


def find(config: Config, task_id: str, definition: str | None) -> TaskDefinition:
    """What to run: by the name given, else by the task id, else by pattern.

    Raises:
        UnknownDefinition
    """
    wanted = definition if definition is not None else task_id
    found = config.tasks.get(wanted) or config.find_task(wanted)
    if found is None:
        raise UnknownDefinition(
            f"no task definition has the id {wanted!r} or a pattern that matches it: "
            "definitions are the files in tasks/ of the configuration and those added over HTTP"
        )
    return found


def check(
    config: Config,
    definition: TaskDefinition,
    task_id: str,
    mode: TaskMode,
    parameters: Mapping[str, Any],
) -> Checked:
    """Check all that RT would refuse later.

    Raises:
        InvalidTask
    """
    document, digest = _serialized(definition)

    def make() -> Program:
        return compile_task(
            definition,
            config.robot,
            scratch_keys(config.datastore),
            lambda _kind, _text: 1,
            task_id=task_id,
            mode=mode,
            parameters=parameters,
        )

    made_for = (config.robot, config.datastore)
    try:
        check_name(task_id)
        program = _CHECKED.find(document, mode, parameters, made_for) or _CHECKED.get(
            document, mode, parameters, made_for, task_id, make
        )
    except ProgramError as error:
        extensions = {"step": error.step, "field": error.field}
        raise InvalidTask(str(error), extensions=extensions) from error
    return Checked(definition, document, digest, program.axes)


def _serialized(definition: TaskDefinition) -> tuple[str, str]:
    """Itself as JSON, and the digest of that; kept as long as the definition is used."""
    found = _SERIALIZED.get(id(definition))
    if found is None or found[0] is not definition:
        document = definition.model_dump_json(by_alias=True)
        digest = hashlib.sha256(document.encode()).hexdigest()
        if len(_SERIALIZED) >= MAX_KEPT:
            _SERIALIZED.clear()
        found = _SERIALIZED[id(definition)] = (definition, document, digest)
    return found[1:]


@lru_cache(maxsize=256)
def parse(document: str) -> TaskDefinition:
    """A definition as the journal kept it."""
    return TaskDefinition.model_validate_json(document)


def compiler(
    config: Config, document: str, task_id: str, mode: str, parameters: Mapping[str, Any]
) -> Compile:
    """Compiles an accepted task for the generation that it is sent to."""
    definition = parse(document)

    def compile_program(intern: Callable[[NameKind, str], int], keys: Mapping[str, Key]) -> bytes:
        def make() -> Program:
            return compile_task(
                definition,
                config.robot,
                keys,
                intern,
                task_id=task_id,
                mode=mode,
                parameters=parameters,
            )

        # The keys are those of one generation, and so are the names that were interned.
        made_for = (config.robot, keys)
        return _SENT.get(document, mode, parameters, made_for, task_id, make).data

    return compile_program
