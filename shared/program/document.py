"""A definition from JSON text to a checked, compiled program: one call for files and for the API.

    from shared.program import compile_document
    compiled = compile_document(body, config, source="request body")
    compiled.definition   # TaskDefinition; .model_dump_json(by_alias=True) is what to keep
    compiled.program      # Program: .axes, .op_count, ... of its default parameters

`body` is the JSON text (bytes), or a document that was parsed already. Everything that would refuse
the file at the start of mxrc refuses it here, and a ConfigError has a `Problem` for each fault:
`file` (the `source` given), `json_path`, `value`, `allowed`, `hint` and `step`, the step's name. It
needs no running instance and writes nothing. That another definition has the same id is for the
caller to check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.config import Config, validation
from shared.config.base import Fault
from shared.config.errors import ConfigError, Problem
from shared.config.json_file import parse_json
from shared.config.models.tasks import TaskDefinition
from shared.config.task_checks import task_faults
from shared.program.compiler import Program, compile_task
from shared.program.errors import ProgramError
from shared.program.scratch import ScratchNames, scratch_keys

MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Compiled:
    """A definition that can be run. names: what the ids in the program stand for."""

    definition: TaskDefinition
    program: Program
    names: ScratchNames


def compile_document(
    content: bytes | Mapping[str, Any],
    config: Config,
    *,
    source: str,
    parameters: Mapping[str, Any] | None = None,
) -> Compiled:
    """Validate and compile a definition for the machine that `config` describes.

    content: JSON text, or the document in it. source: its name in messages.
    parameters: values to compile it with; the others have their defaults.

    Raises:
        ConfigError: with every fault found.
    """
    document = parse_json(_text(content, source), source)
    definition = validation.validate(TaskDefinition, document, lambda _loc: source)
    faults = task_faults(
        definition, config.robot, config.datastore.by_name, config.rt_schedule.period_us
    )
    _raise(faults, document, source)
    names = ScratchNames()
    try:
        program = compile_task(
            definition,
            config.robot,
            scratch_keys(config.datastore),
            names.intern,
            task_id=definition.id or "check",
            parameters=parameters,
        )
    except ProgramError as error:
        problem = Problem(source, error.field, "", error.reason, step=error.step)
        raise ConfigError([problem]) from error
    return Compiled(definition, program, names)


def _text(content: bytes | Mapping[str, Any], source: str) -> bytes:
    if not isinstance(content, bytes):
        try:
            content = json.dumps(content).encode()
        except (RecursionError, TypeError, ValueError):
            problem = Problem(source, "", "no JSON document", "must be a JSON object")
            raise ConfigError([problem]) from None
    if len(content) > MAX_BYTES:
        problem = Problem(source, "", f"{len(content)} bytes", f"must be at most {MAX_BYTES} bytes")
        raise ConfigError([problem])
    return content


def _raise(faults: Iterable[Fault], document: Any, source: str) -> None:
    schema = validation.schema_of(TaskDefinition)
    problems = validation.problems_at(faults, document, lambda _loc: source, schema)
    if problems:
        raise ConfigError(problems)
