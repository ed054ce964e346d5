"""The actions control_law and user_action: what they compile to, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.config import Config, ConfigError
from shared.core import ffi, lib
from shared.enums import ConditionSource, OpKind
from shared.program import compile_document
from tests.helpers import ROOT
from tests.unit.config.conftest import Files

SWAY = {
    "name": "sway",
    "type": "c",
    "path": "sway.so",
    "symbol": "sway",
    "parameters": [0.3, 0.5, 2],
}
OTHER = {"name": "push", "type": "c", "path": "push.so", "symbol": "push"}


@pytest.fixture
def config(files: Files) -> Config:
    files.change("robot", lambda document: document.update(task_laws=[OTHER, SWAY]))
    return files.load()


def task(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"id": "t", "sequence": {"name": "s", "actions": list(steps)}}


def law(name: str = "one", **parameters: Any) -> dict[str, Any]:
    kind = "control_law" if "axes" in parameters else "user_action"
    return {"name": name, "type": kind, "parameters": {"law": "sway", **parameters}}


def ops(config: Config, *steps: dict[str, Any]) -> Any:
    program = compile_document(task(*steps), config, source="t").program
    slot = ffi.new("struct mxrc_program_slot *")
    ffi.memmove(slot, program.data, len(program.data))
    return slot


def refusal(config: Config, *steps: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        compile_document(task(*steps), config, source="t")
    return str(error.value)


def test_what_they_compile_to(config: Config) -> None:
    until = {"key": "cell.temperature", "op": ">", "value": 60.0}
    slot = ops(
        config,
        law("drives", axes=["shoulder", "flange"], values=[0.1, 0.2, 4], until=until),
        law("acts", duration_s=1.5),
    )
    drives, acts = slot.op[0], slot.op[1]
    assert (drives.kind, drives.key, drives.axes) == (OpKind.CONTROL_LAW, 1, 0b100010)
    assert (drives.count, list(drives.args)[:4]) == (3, [0.1, 0.2, 4.0, 0.0])
    assert (drives.condition.source, drives.duration_ns) == (ConditionSource.KEY, 0)
    assert (acts.kind, acts.key, acts.axes) == (OpKind.CONTROL_LAW, 1, 0)
    assert (list(acts.args)[:3], acts.duration_ns) == ([0.3, 0.5, 2.0], 1_500_000_000)
    assert drives.identity == acts.identity == lib.mxrc_crc32c(0, b"sway", 4)
    assert slot.program.axes == 0b100010


def test_what_is_refused_names_step_and_field(config: Config) -> None:
    unknown = refusal(config, {**law("one", axes=["base"]), "name": "first"}, law("x", law="swai"))
    assert "$.sequence.actions[1].parameters.law" in unknown
    assert "did you mean sway?" in unknown
    assert "must be 3 numbers: sway takes as many" in refusal(config, law(values=[1.0]))
    assert "parameters.axes[0]" in refusal(config, law(axes=["bse"]))
    assert "must be a key of datastore.json" in refusal(
        config, law(until={"key": "no.such", "value": 1})
    )


def test_branches_cannot_drive_the_same_axis(config: Config) -> None:
    move = {"target": {"base": 0.1}, "velocity_scale": 0.5}
    block = {
        "name": "both",
        "type": "parallel",
        "branches": [
            [law("a", axes=["base"])],
            [{"name": "b", "type": "move_joints", "parameters": move}],
        ],
    }
    assert "must not drive axes of another branch: base" in refusal(config, block)


def test_the_way_after_a_law_is_not_known(config: Config) -> None:
    """A duration that would be too short from the first target is left to the core."""
    first = {"target": {"base": 3.0}, "velocity_scale": 0.5}
    then = {"target": {"base": 0.0}, "duration_s": 0.1}
    moves = [
        {"name": name, "type": "move_joints", "parameters": where}
        for name, where in (("first", first), ("then", then))
    ]
    assert "must be at least" in refusal(config, *moves)
    ops(config, moves[0], law(axes=["base"]), moves[1])


def test_two_laws_of_one_name_are_refused(files: Files) -> None:
    files.change("robot", lambda document: document.update(task_laws=[SWAY, SWAY]))
    with pytest.raises(ConfigError, match=r"task_laws\[1\].name"):
        files.load()


def test_the_example_compiles(config: Config) -> None:
    path = ROOT / "examples" / "control_laws" / "sway.json"
    compiled = compile_document(
        json.loads(path.read_text()), config, source=str(path), parameters={"rounds": 7.0}
    )
    assert compiled.program.axes == 0b101000
