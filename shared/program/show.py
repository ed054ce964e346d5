"""A compiled program in words: a row for each operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.config.models.datastore import DataStoreKey
from shared.core import ffi
from shared.enums import Level, OnFailure, OpKind, RestartPolicy, TaskMode, name_of
from shared.program.compiler import LOG_PARTS, SCALE_ARG, Program

Resolve = Callable[[int], str]

_ON_FAILURE: Final = {
    OnFailure.TASK: "",
    OnFailure.SKIP: "on failure skip",
    OnFailure.SAFE_MODE: "on failure safe mode",
}


@dataclass(frozen=True, slots=True)
class OpRow:
    """An operation. axes: names of the axes that it moves or holds. next: index of what follows."""

    op: int
    step: str
    kind: str
    axes: tuple[str, ...]
    does: str
    next: int | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A program: what its header says, and its operations."""

    task: str
    sequence: str
    mode: str
    priority: int
    period_ms: float | None
    on_restart: str
    axes: tuple[str, ...]
    bytes: int
    crc: str
    ops: tuple[OpRow, ...]


def listing(
    program: Program, resolve: Resolve, axes: Sequence[str], keys: Sequence[DataStoreKey]
) -> Listing:
    """What `program` says. axes: their names by index; keys: those of the data store by handle."""
    slot: Any = ffi.new("struct mxrc_program_slot *")
    ffi.memmove(slot, program.data, len(program.data))
    header = slot.program
    return Listing(
        resolve(header.task_name),
        resolve(header.sequence_name),
        name_of(TaskMode, header.mode).lower(),
        int(header.priority),
        header.period_ns / 1e6 if header.period_ns else None,
        name_of(RestartPolicy, header.on_restart).lower(),
        _names(header.axes, axes),
        len(program.data),
        f"{program.crc:08x}",
        tuple(
            _row(index, slot.op[index], resolve, axes, keys) for index in range(program.op_count)
        ),
    )


def text(shown: Listing) -> str:
    """A listing for a terminal."""
    period = f" every {shown.period_ms:g} ms" if shown.period_ms else ""
    head = (
        f"task {shown.task}, sequence {shown.sequence}: {shown.mode}{period}, "
        f"priority {shown.priority}, on restart {shown.on_restart}\n"
        f"axes {', '.join(shown.axes) or 'none'}; {len(shown.ops)} operations, "
        f"{shown.bytes} bytes, CRC32C {shown.crc}\n\n"
    )
    cells = [("OP", "STEP", "KIND", "DOES", "NEXT")]
    for row in shown.ops:
        follows = "" if row.next in (None, row.op + 1) else f"-> {row.next}"
        cells.append((str(row.op), row.step, row.kind, row.does, follows))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return head + "".join(
        "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in cells
    )


def _row(
    index: int, op: Any, resolve: Resolve, axes: Sequence[str], keys: Sequence[DataStoreKey]
) -> OpRow:
    kind = OpKind(op.kind)
    does = [_DOES[kind](op, resolve, axes, keys)] if kind in _DOES else []
    if op.timeout_ns:
        does.append(f"timeout {_seconds(op.timeout_ns)}")
    if op.retries:
        pause = f" after {_seconds(op.backoff_ns)}" if op.backoff_ns else ""
        does.append(f"retries {op.retries}{pause}")
    if op.on_failure:
        does.append(_ON_FAILURE[OnFailure(op.on_failure)])
    return OpRow(
        index,
        resolve(op.action_name),
        kind.name.lower(),
        _names(op.axes, axes),
        "; ".join(one for one in does if one),
        None if kind == OpKind.END else int(op.next),
    )


def _move(op: Any, _resolve: Resolve, axes: Sequence[str], _keys: Sequence[DataStoreKey]) -> str:
    targets = ", ".join(
        f"{name} {op.args[index]:g}" for index, name in enumerate(axes) if op.axes >> index & 1
    )
    if op.duration_ns:
        return f"{targets}; in {_seconds(op.duration_ns)}"
    return f"{targets}; at {op.args[SCALE_ARG]:.4g} of the limits"


def _hold(op: Any, _resolve: Resolve, axes: Sequence[str], _keys: Sequence[DataStoreKey]) -> str:
    return f"{', '.join(_names(op.axes, axes))} for {_seconds(op.duration_ns)}"


def _wait(op: Any, _resolve: Resolve, _axes: Sequence[str], _keys: Sequence[DataStoreKey]) -> str:
    return _seconds(op.duration_ns)


def _log(op: Any, resolve: Resolve, _axes: Sequence[str], _keys: Sequence[DataStoreKey]) -> str:
    message = "".join(resolve(int(op.args[part])) for part in range(LOG_PARTS))
    return f"{name_of(Level, op.key).lower()}: {message}"


def _set_value(
    op: Any, _resolve: Resolve, _axes: Sequence[str], keys: Sequence[DataStoreKey]
) -> str:
    key = keys[op.key]
    if key.type == "bool":
        return f"{key.name} = {'true' if op.args[0] else 'false'}"
    values = ", ".join(f"{op.args[index]:.15g}" for index in range(key.elements))
    return f"{key.name} = {f'[{values}]' if key.elements > 1 else values}"


_DOES: Final[dict[OpKind, Callable[[Any, Resolve, Sequence[str], Sequence[DataStoreKey]], str]]] = {
    OpKind.MOVE_JOINTS: _move,
    OpKind.HOLD: _hold,
    OpKind.WAIT: _wait,
    OpKind.LOG: _log,
    OpKind.SET_VALUE: _set_value,
}


def _names(mask: int, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for index, name in enumerate(names) if mask >> index & 1)


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / 1e9:g} s"
