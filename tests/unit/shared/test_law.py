"""Python control laws: the decorator, and what is refused by looking at the compiled code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shared.core import ffi, lib, to_text
from shared.enums import LawCommand
from shared.law import LawRefused, control_law, outside_calls

numba = pytest.importorskip("numba")


def spring(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    for i in range(inputs.axes):
        state[i] += inputs.dt
        command[i] = parameters[0] * (inputs.setpoint[i] - inputs.position[i]) + state[i]
    return 0


def test_it_is_compiled_to_a_law_of_the_core() -> None:
    law = control_law(command="effort", state=8, parameters=1, version=3)(spring)
    compiled = law.compile()
    raw = compiled.raw
    error = ffi.new("char[]", 200)
    assert lib.mxrc_law_check(raw, 1, error, 200) == 0, to_text(error)
    assert (to_text(raw.name), raw.command) == ("spring", LawCommand.EFFORT)
    assert (raw.state_bytes, raw.state_version, raw.parameter_count) == (64, 3, 1)
    state = ffi.new("double[8]")
    parameters = ffi.new("double[1]", [10.0])
    command = ffi.new("double[8]")
    inputs = ffi.new("struct mxrc_law_input *", {"axes": 3, "dt": 0.5})
    inputs.setpoint[2] = 4.0
    assert raw.init(state, parameters, 3, 0.5) == 0
    assert raw.step(state, parameters, inputs, command) == 0
    assert list(command) == [0.5, 0.5, 40.5, 0, 0, 0, 0, 0]
    raw.reset(state, parameters, inputs)
    assert list(state)[:4] == [0.5, 0.5, 0.5, 0]


def test_without_compilation_it_is_plain_python() -> None:
    law = control_law(command="position", state=1, parameters=1)(spring)
    command = np.zeros(8)
    inputs = SimpleNamespace(axes=1, dt=1.0, setpoint=[2.0], position=[1.0])
    assert law(np.zeros(1), [5.0], inputs, command) == 0
    assert command[0] == 6.0


def raises(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    if inputs.dt < 0:
        raise ValueError("time runs backwards")
    return 0


def allocates(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    work = np.zeros(inputs.axes)
    command[0] = work[inputs.axes - 1] + work.sum()
    return 0


def prints(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    print(inputs.cycle)
    return 0


def grows(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    seen = [0.0]
    for i in range(inputs.axes):
        seen.append(inputs.position[i])
    command[0] = seen[-1]
    return 0


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raises, "can take the interpreter lock"),
        (allocates, "can allocate memory"),
        (prints, "can take the interpreter lock"),
        (grows, "can allocate memory"),
    ],
)
def test_what_could_stop_the_machine_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(LawRefused, match=rf"law {function.__name__} is not fit .*{reason}"):
        control_law(command="position")(function).compile()


def fails_to_start(state: Any, parameters: Any, axes: Any, dt: Any) -> int:
    if dt < 1:
        raise ValueError
    return 0


def test_init_and_reset_are_looked_at_as_well() -> None:
    law = control_law(command="position", state=8, parameters=1)(spring)
    law.on_init(fails_to_start)
    with pytest.raises(LawRefused, match="interpreter lock"):
        law.compile()


def divides(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    command[0] = 1.0 / inputs.position[0]
    command[1] = inputs.position[1] / inputs.position[0]
    command[2] = inputs.position[1] % inputs.position[0]
    return 0


def test_division_by_zero_is_a_number_not_an_exception() -> None:
    raw_keeper = control_law(command="position")(divides).compile()
    inputs = ffi.new("struct mxrc_law_input *", {"axes": 3})
    command = ffi.new("double[8]")
    state = ffi.new("double[1]")
    assert raw_keeper.raw.step(state, state, inputs, command) == 0
    assert command[0] == np.inf
    assert np.isnan(command[1])
    assert np.isnan(command[2])


def divides_integers(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    command[0] = int(parameters[0]) // int(parameters[1])
    command[1] = int(parameters[0]) % int(parameters[1])
    return 0


@pytest.mark.parametrize("numbers", [(10.0, 0.0), (-(2.0**63), -1.0)])
def test_integers_divide_without_a_trap(numbers: tuple[float, float]) -> None:
    keeper = control_law(command="position", parameters=2)(divides_integers).compile()
    inputs, command = ffi.new("struct mxrc_law_input *", {"axes": 2}), ffi.new("double[8]")
    assert (
        keeper.raw.step(ffi.new("double[1]"), ffi.new("double[2]", numbers), inputs, command) == 0
    )
    assert list(command[0:2]) == [0.0, 0.0]


def unknown(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    return undefined_name  # type: ignore[name-defined,no-any-return]  # noqa: F821


def imports(state: Any, parameters: Any, inputs: Any, command: Any) -> int:
    import math

    command[0] = math.sin(inputs.position[0])
    return 0


@pytest.mark.parametrize("function", [unknown, imports])
def test_what_numba_cannot_compile_is_told(function: Any) -> None:
    with pytest.raises(LawRefused, match=f"numba cannot compile {function.__name__}"):
        control_law(command="position")(function).compile()


def test_python_s_error_model_would_be_found_out() -> None:
    """The wrong variant: numba's default takes the interpreter lock to report a division by 0."""
    types = numba.types

    def quotient(a: float, b: float) -> float:
        return a / b

    signature = types.float64(types.float64, types.float64)
    wrong = numba.cfunc(signature)(quotient)
    assert "numba_gil_ensure" in outside_calls(wrong.inspect_llvm(), wrong.native_name)
    right = numba.cfunc(signature, error_model="numpy", forceinline=True)(quotient)
    assert outside_calls(right.inspect_llvm(), right.native_name) == []


IR = """
declare double @sin(double)
define i32 @entry(ptr %x) {
  %1 = call double @sin(double 0.0) ; call @ignored()
  call fastcc void @"helper.$1"(ptr %x)
  ret i32 0
}
define internal fastcc void @"helper.$1"(ptr %x) {
  CALLS
  ret void
}
define void @unused() {
  call void @PyErr_Clear()
  ret void
}
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", []),
        ("tail call void @llvm.memset.p0.i64(ptr %x, i8 0, i64 8, i1 false)", []),
        ("tail call void @write(i32 1)", ["write"]),
        ("call void %x(i32 1)", ["(a pointer)"]),
        ('call void asm sideeffect "syscall", ""()', ["(a pointer)"]),
        ("invoke void @PyGILState_Ensure() to label %a unwind label %b", ["PyGILState_Ensure"]),
    ],
)
def test_everything_that_can_be_reached_is_looked_at(line: str, found: list[str]) -> None:
    assert outside_calls(IR.replace("CALLS", line), "entry") == found


def test_an_entry_without_code_is_not_pure() -> None:
    assert outside_calls(IR, "other") == ["(no code of other)"]


@pytest.mark.parametrize("numbers", [{"state": 129}, {"parameters": 65}, {"state": -1}])
def test_more_than_the_core_keeps_is_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="state must be 0 to 128"):
        control_law(command="effort", **numbers)
