"""Programs that are kept are those that would be compiled."""

from __future__ import annotations

from typing import Any

import pytest

from nonrt_process.tasks.programs import Programs
from shared.config import Config, load_config
from shared.program import Program, ProgramError, compile_task
from shared.program.scratch import ScratchNames, scratch_keys
from shared.resources import resource_path


class Compiler:
    """Compiles `task_1` and counts how often."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.names = ScratchNames()
        self.keys = scratch_keys(config.datastore)
        self.programs = Programs(most=2)
        self.made = 0

    def fresh(self, task_id: str, parameters: dict[str, Any]) -> Program:
        self.made += 1
        definition = self.config.find_task("inspect")
        assert definition is not None
        return compile_task(
            definition,
            self.config.robot,
            self.keys,
            self.names.intern,
            task_id=task_id,
            parameters=parameters,
        )

    def get(self, task_id: str, made_for: tuple[object, ...] = (), **parameters: Any) -> Program:
        return self.programs.get(
            "text", "once", parameters, made_for, task_id, lambda: self.fresh(task_id, parameters)
        )


@pytest.fixture
def compiler() -> Compiler:
    return Compiler(load_config(resource_path("config"), environ={}, check_machine=False))


def test_a_kept_program_is_the_same_but_for_its_name(compiler: Compiler) -> None:
    first = compiler.get("one")
    second = compiler.get("another_name")
    assert compiler.made == 1
    assert second == compiler.fresh("another_name", {})
    assert first == compiler.fresh("one", {})
    with pytest.raises(ProgramError, match="at most"):
        compiler.get("x" * 64)


def test_other_parameters_and_another_machine_are_other_programs(compiler: Compiler) -> None:
    robot, other = object(), object()
    one = compiler.get("t", (robot,), speed=0.5)
    assert compiler.get("t", (robot,), speed=0.25) != one
    assert compiler.made == 2
    compiler.get("t", (robot,), speed=0.5)
    assert compiler.made == 2
    compiler.get("t", (other,), speed=0.5)
    assert compiler.made == 3


def test_few_are_kept_and_no_failure(compiler: Compiler) -> None:
    for rounds in (1, 2, 3, 1):
        compiler.get("t", rounds=rounds)
    assert compiler.made == 4
    for _ in range(2):
        with pytest.raises(ProgramError):
            compiler.get("t", rounds=0)
    assert compiler.made == 6
