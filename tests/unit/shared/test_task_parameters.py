"""Parameters: from a start into the steps, or refused with task, step and field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.config import Config, ConfigError
from shared.config.models.tasks import TaskDefinition
from shared.core import ffi
from shared.program import Compiled, ProgramError, compile_document, compile_task
from shared.program.scratch import ScratchNames, scratch_keys

DECLARED: dict[str, Any] = {
    "angle": {"type": "double", "unit": "rad", "default": 0.5, "min": -5, "max": 5},
    "speed": 0.5,
    "closed": True,
    "count": {"type": "int64", "default": 3, "min": 0},
    "words": "hello",
}


def reference(name: str) -> dict[str, str]:
    return {"$param": name}


def document(**fields: Any) -> dict[str, Any]:
    steps = [
        {
            "name": "reach",
            "type": "move_joints",
            "parameters": {
                "target": {"base": reference("angle")},
                "velocity_scale": reference("speed"),
            },
        },
        {
            "name": "grip",
            "type": "set_output",
            "parameters": {"key": "gripper.closed", "value": reference("closed")},
        },
        {
            "name": "count",
            "type": "set_output",
            "parameters": {"key": "parts.placed", "value": reference("count")},
        },
        {"name": "say", "type": "log", "parameters": {"message": reference("words")}},
    ]
    sequence = {"name": "s", "actions": steps}
    return {"id": "t", "parameters": DECLARED, "sequence": sequence, **fields}


def compiled(config: Config, **values: Any) -> Any:
    result = compile_document(document(), config, source="body", parameters=values)
    return _slot(result.program.data), result


def _slot(data: bytes) -> Any:
    slot = ffi.new("struct mxrc_program_slot *")
    ffi.memmove(slot, data, len(data))
    return slot


def message(slot: Any, result: Compiled) -> str:
    return result.names.resolve(int(slot.op[3].args[0]))


def test_defaults_are_in_force_without_values(config: Config) -> None:
    slot, result = compiled(config)
    assert (slot.op[0].args[0], slot.op[0].args[8]) == (0.5, 0.5)
    assert (slot.op[1].args[0], slot.op[2].args[0]) == (1.0, 3.0)
    assert message(slot, result) == "hello"


def test_values_of_a_start_take_their_place(config: Config) -> None:
    slot, result = compiled(config, angle=-1, speed=0.25, closed=False, count=9, words="bye")
    assert (slot.op[0].args[0], slot.op[0].args[8]) == (-1.0, 0.25)
    assert (slot.op[1].args[0], slot.op[2].args[0]) == (0.0, 9.0)
    assert message(slot, result) == "bye"


@pytest.mark.parametrize(
    ("values", "place", "words"),
    [
        ({"angl": 1.0}, "task t1, parameters.angl", "did you mean angle?"),
        ({"angle": "1"}, "task t1, parameters.angle", 'found "1": must be a number'),
        ({"angle": True}, "task t1, parameters.angle", "must be a number"),
        ({"angle": float("nan")}, "task t1, parameters.angle", "at least -5 and at most 5 rad"),
        ({"angle": 5.5}, "task t1, parameters.angle", "at least -5 and at most 5 rad"),
        ({"count": 1.0}, "task t1, parameters.count", "must be an integer"),
        ({"count": -1}, "task t1, parameters.count", "must be an integer of at least 0"),
        ({"count": 1 << 60}, "task t1, parameters.count", "must be an integer"),
        ({"closed": 1}, "task t1, parameters.closed", "must be true or false"),
        ({"words": "x" * 256}, "task t1, parameters.words", "at most 255 characters"),
        # Allowed by the declaration, refused by the step that uses it.
        (
            {"angle": 4.5},
            "task t1, step reach, target.base",
            "found 4.5 from the parameter angle: must be within the limits of base",
        ),
        (
            {"speed": 2},
            "task t1, step reach, velocity_scale",
            "found 2 from the parameter speed: must be",
        ),
        ({"words": ""}, "task t1, step say, message", 'found "" from the parameter words'),
    ],
)
def test_what_is_wrong_is_named(
    config: Config, values: dict[str, Any], place: str, words: str
) -> None:
    definition = TaskDefinition.model_validate(document())
    with pytest.raises(ProgramError) as raised:
        compile_task(
            definition,
            config.robot,
            scratch_keys(config.datastore),
            ScratchNames().intern,
            task_id="t1",
            parameters=values,
        )
    assert str(raised.value).startswith(place + ":")
    assert words in str(raised.value)


def test_a_definition_is_kept_as_it_was_written() -> None:
    definition = TaskDefinition.model_validate(document())
    text = definition.model_dump_json(by_alias=True)
    assert json.loads(text)["sequence"] == document()["sequence"]
    again = TaskDefinition.model_validate_json(text)
    assert again == definition
    assert again.has_references


@pytest.mark.parametrize(
    ("declared", "place", "words"),
    [
        ({"type": "double", "default": "x"}, "$.parameters.angle.default", "must be a number"),
        ({"type": "int64", "default": 9, "max": 8}, "$.parameters.angle.default", "at most 8"),
        ({"type": "double", "default": 0, "min": 2, "max": 1}, "$.parameters.angle.min", "above"),
        ({"type": "bool", "default": True, "min": 0}, "$.parameters.angle.min", "left out"),
        ({"type": "text", "default": "x"}, "$.parameters.angle.type", '"bool", "int64"'),
        ({"type": "double"}, "$.parameters.angle.default", "found nothing"),
    ],
)
def test_declarations_are_checked(
    config: Config, declared: dict[str, Any], place: str, words: str
) -> None:
    content = document(parameters={**DECLARED, "angle": declared})
    with pytest.raises(ConfigError) as raised:
        compile_document(content, config, source="body")
    lines = [line for line in str(raised.value).splitlines() if place in line]
    assert lines, raised.value
    assert words in lines[0]


def test_references_are_checked_at_load(config: Config) -> None:
    content = document(parameters={**DECLARED, "speed": "fast"})
    with pytest.raises(ConfigError, match=r"\$\.sequence\.actions\[0\]\.parameters") as raised:
        compile_document(content, config, source="body")
    assert raised.value.problems[0].step == "reach"
    without = {name: value for name, value in DECLARED.items() if name != "angle"}
    with pytest.raises(ConfigError, match="must name a parameter of this definition"):
        compile_document(document(parameters=without), config, source="body")


def test_a_reference_stands_only_where_values_do(config: Config) -> None:
    content = document()
    content["sequence"]["actions"][0]["timeout_ms"] = reference("count")
    with pytest.raises(ConfigError, match="timeout_ms"):
        compile_document(content, config, source="body")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'{"id": NaN}', b"[" * 5000, b"\xff", b'{"a": 1, "a": 2}']
)
def test_what_is_no_definition_is_refused_with_words(config: Config, body: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^request body"):
        compile_document(body, config, source="request body")
