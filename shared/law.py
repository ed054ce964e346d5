"""Control laws in Python, compiled by numba to C functions that the real-time thread calls.

    from shared.law import control_law

    @control_law(command="effort", parameters=2)
    def damper(state, parameters, inputs, command):
        for i in range(inputs.axes):
            command[i] = parameters[0] * (inputs.setpoint[i] - inputs.position[i])
            command[i] -= parameters[1] * inputs.velocity[i]
        return 0

robot.json names the file and the function: "law": {"type": "numba", "path": "damper.py", "symbol":
"damper", "parameters": [400, 40]}. See docs/control-laws.md.

What numba compiles is refused when it could take the interpreter lock, allocate, or call anything
but arithmetic: `compile()` walks everything that the machine code can reach (`outside_calls`).
Needs the extra `numba`, and only in `compile()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from shared.core import MxrcError, ffi, from_text, lib
from shared.enums import LawCommand

__all__ = ["AXES", "DONE", "Compiled", "ControlLaw", "LawRefused", "control_law", "outside_calls"]

AXES: Final = int(lib.MXRC_LAW_AXES)
"""Length of the arrays in `inputs`, of which `inputs.axes` are meaningful, and of `command`."""
DONE: Final = int(lib.MXRC_LAW_DONE)
"""What the step of a law that a task runs returns once it is done."""
STATE_DOUBLES: Final = int(lib.MXRC_LAW_STATE_BYTES) // 8
PARAMETERS: Final = int(lib.MXRC_LAW_PARAMETERS)
_NAME_BYTES: Final = 32

# What compiled arithmetic may call: the C library's functions of numbers, which neither allocate
# nor lock. numba leaves the release of arrays in, behind a test for ownership: what is only ever a
# view of the caller's memory owns nothing, and nothing that makes an owner is in this list.
_MATH: Final = frozenset(
    {
        *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign"),
        *("cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1", "fabs", "floor", "fma", "fmax"),
        *("fmin", "fmod", "frexp", "hypot", "ldexp", "lgamma", "log", "log10", "log1p", "log2"),
        *("nextafter", "pow", "remainder", "rint", "round", "sin", "sincos", "sinh", "sqrt"),
        *("tan", "tanh", "tgamma", "trunc", "memcpy", "memmove", "memset"),
    }
)
_PURE: Final = _MATH | {f"{name}f" for name in _MATH} | {"NRT_MemInfo_call_dtor"}
_DEFINE: Final = re.compile(r'^define [^@]*@"?([^"(]+)"?\(')
_DECLARED_CALL: Final = re.compile(r'\b(?:call|invoke)\b[^@%]*@"?([^"(]+)"?\(')
_OTHER_CALL: Final = re.compile(r"\b(?:call|invoke)\b")
_WHY: Final = {
    "gil": "it can take the interpreter lock: a thread that holds it stops the machine",
    "memory": "it can allocate memory",
    "other": "it is not known to be free of locks and system calls",
}


class LawRefused(MxrcError):
    """The function cannot run on the real-time thread; the message says why and what to do."""


@dataclass(frozen=True)
class Compiled:
    """raw: a struct mxrc_law *; it and the code it points to live as long as this object."""

    raw: Any
    keep: tuple[Any, ...]


class ControlLaw:
    """A decorated function; calling it runs the Python function as it is, for tests."""

    def __init__(
        self,
        step: Callable[..., Any],
        command: LawCommand,
        state: int,
        parameters: int,
        version: int,
    ) -> None:
        self.name = step.__name__
        self.step = step
        self.command = command
        self.state = state
        self.parameters = parameters
        self.version = version
        self._init: Callable[..., Any] = _accepts
        self._reset: Callable[..., Any] = _keeps
        self.__doc__ = step.__doc__

    def __call__(self, state: Any, parameters: Any, inputs: Any, command: Any) -> int:
        return int(self.step(state, parameters, inputs, command))

    def on_init(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates f(state, parameters, axes, dt) -> int: once at the start; not 0 refuses it."""
        self._init = function
        return function

    def on_reset(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorates f(state, parameters, inputs): the law takes over; start bumpless."""
        self._reset = function
        return function

    def compile(self) -> Compiled:
        """Compile it to C functions and look at what they call.

        Raises:
            LawRefused: numba is missing, cannot compile it, or the code is not fit for real time.
        """
        numba = _numba()
        from numba.core.typing.cffi_utils import map_type

        types, carray = numba.types, numba.carray
        doubles = types.CPointer(types.float64)
        record = map_type(  # type: ignore[no-untyped-call]
            ffi.typeof("struct mxrc_law_input"), use_record_dtype=True
        )
        inputs = types.CPointer(record)
        # An array of length 0 cannot be: one word more than is asked for.
        words, numbers, axes = max(1, self.state), max(1, self.parameters), AXES
        inline = numba.njit(error_model="numpy", nogil=True, forceinline=True)
        step, init, reset = inline(self.step), inline(self._init), inline(self._reset)

        def c_step(state, parameters, given, command):  # type: ignore[no-untyped-def]
            return step(
                carray(state, (words,)),
                carray(parameters, (numbers,)),
                carray(given, (1,))[0],
                carray(command, (axes,)),
            )

        def c_init(state, parameters, count, dt):  # type: ignore[no-untyped-def]
            return init(carray(state, (words,)), carray(parameters, (numbers,)), count, dt)

        def c_reset(state, parameters, given):  # type: ignore[no-untyped-def]
            reset(carray(state, (words,)), carray(parameters, (numbers,)), carray(given, (1,))[0])

        compiled = (
            self._function(c_init, types.int32(doubles, doubles, types.uint32, types.float64)),
            self._function(c_step, types.int32(doubles, doubles, inputs, doubles)),
            self._function(c_reset, types.void(doubles, doubles, inputs)),
        )
        raw = ffi.new(
            "struct mxrc_law *",
            {
                "abi": lib.MXRC_LAW_ABI,
                "bytes": ffi.sizeof("struct mxrc_law"),
                "name": from_text(self.name, _NAME_BYTES),
                "command": int(self.command),
                "state_bytes": self.state * 8,
                "state_version": self.version,
                "parameter_count": self.parameters,
            },
        )
        for member, function in zip(("init", "step", "reset"), compiled, strict=True):
            kind = ffi.typeof("struct mxrc_law").fields
            pointer = dict(kind)[member].type
            setattr(raw, member, ffi.cast(pointer, function.address))
        return Compiled(raw, compiled)

    def _function(self, function: Callable[..., Any], signature: Any) -> Any:
        numba = _numba()
        try:
            made = numba.cfunc(
                signature, error_model="numpy", nopython=True, forceinline=True, cache=False
            )(function)
        except Exception as error:  # noqa: BLE001  # numba raises of many kinds
            what = "" if isinstance(error, numba.core.errors.NumbaError) else type(error).__name__
            raise LawRefused(
                f"numba cannot compile {self.name}: {what}{': ' if what else ''}{error}"
            ) from None
        calls = outside_calls(made.inspect_llvm(), made.native_name)
        if calls:
            raise LawRefused(_explain(self.name, calls))
        return made


def control_law(
    *,
    command: Literal["position", "effort"],
    state: int = 0,
    parameters: int = 0,
    version: int = 1,
) -> Callable[[Callable[..., Any]], ControlLaw]:
    """Decorates step(state, parameters, inputs, command) -> int, which runs every cycle.

    state, parameters: float64 arrays; `state` is kept in the state block, so that it survives a
    restart and a take-over (zero at a clean start), `parameters` are those of robot.json.
    inputs: axes, cycle, dt (s), and arrays of AXES: position, velocity, effort, setpoint,
    setpoint_velocity, setpoint_acceleration (rad or m, s, N m or N).
    command: float64[AXES] to fill. Returns 0, or a code that sends the executive to SAFE_MODE.

    Args:
        command: what the values in `command` are: positions (rad or m) or efforts (N m or N).
        state, parameters: how many numbers of each.
        version: of the meaning of `state`; a saved state of another version is not restored.

    Raises:
        ValueError: more numbers than the core keeps.
    """
    if not 0 <= state <= STATE_DOUBLES or not 0 <= parameters <= PARAMETERS:
        raise ValueError(
            f"state must be 0 to {STATE_DOUBLES} numbers and parameters 0 to {PARAMETERS}"
        )

    def decorate(step: Callable[..., Any]) -> ControlLaw:
        return ControlLaw(step, LawCommand[command.upper()], state, parameters, version)

    return decorate


def outside_calls(ir: str, entry: str) -> list[str]:
    """Functions that the LLVM IR calls, from `entry` on, and that are not known to be pure.

    A call through a pointer or of inline assembly is "(a pointer)": nobody can say what it does.
    """
    bodies = _bodies(ir)
    found: set[str] = set()
    reached, todo = {entry}, [entry]
    while todo:
        for line in bodies.get(todo.pop(), ()):
            if not _OTHER_CALL.search(line):
                continue
            named = _DECLARED_CALL.search(line)
            name = named.group(1) if named else "(a pointer)"
            if name in bodies:
                if name not in reached:
                    reached.add(name)
                    todo.append(name)
            elif not name.startswith("llvm.") and name not in _PURE:
                found.add(name)
    if entry not in bodies:
        found.add(f"(no code of {entry})")
    return sorted(found)


def _bodies(ir: str) -> dict[str, list[str]]:
    """Lines of each function that is defined, without what is quoted or commented."""
    bodies: dict[str, list[str]] = {}
    body: list[str] | None = None
    for line in ir.splitlines():
        start = _DEFINE.match(line)
        if start:
            body = bodies.setdefault(start.group(1), [])
        elif line == "}":
            body = None
        elif body is not None:
            body.append(line.partition(" ;")[0])
    return bodies


def _explain(name: str, calls: list[str]) -> str:
    gil = [one for one in calls if one.startswith(("Py", "_Py", "numba_gil", "numba_unpickle"))]
    memory = [one for one in calls if "alloc" in one.lower() or one.startswith("NRT_")]
    other = [one for one in calls if one not in gil and one not in memory]
    lines = [
        f"{_WHY[why]} ({', '.join(found[:4])})"
        for why, found in (("gil", gil), ("memory", memory), ("other", other))
        if found
    ]
    return (
        f"control law {name} is not fit for the real-time thread: {'; '.join(lines)}. Leave out "
        "raise, assert, print, objects, strings, and array expressions that make new arrays (write "
        "a loop over inputs.axes); return a code other than 0 for an error"
    )


def _accepts(state: Any, parameters: Any, axes: Any, dt: Any) -> int:  # noqa: ARG001
    return 0


def _keeps(state: Any, parameters: Any, inputs: Any) -> None:  # noqa: ARG001
    return None


def _numba() -> Any:
    try:
        import numba
    except ImportError:
        raise LawRefused(
            "numba is missing: install mxrc with its extra `numba`, or write the law in C"
        ) from None
    return numba
