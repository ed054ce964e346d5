"""A compiled program in words: a row for each operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.config.models.datastore import DataStoreKey
from shared.core import ffi
from shared.enums import (
    Compare,
    ConditionSource,
    Join,
    Level,
    OnFailure,
    OpKind,
    Profile,
    RestartPolicy,
    Result,
    TaskMode,
    name_of,
)
from shared.program.actions import AXES, LOG_PARTS, SCALE_ARG, VIA_PER_OP
from shared.program.compiler import Program
from shared.program.conditions import ANY_EVENT, COMPARISONS

Resolve = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class OpRow:
    """An operation. axes: names of the axes that it moves or holds. next: index of what follows."""

    op: int
    step: str
    kind: str
    axes: tuple[str, ...]
    does: str
    next: int | None
    progress_percent: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A program: what its header says, and its operations."""

    task: str
    sequence: str
    mode: str
    priority: int
    period_ms: float | None
    trigger: str
    on_restart: str
    on_safe_mode: str
    axes: tuple[str, ...]
    bytes: int
    crc: str
    ops: tuple[OpRow, ...]


def listing(
    program: Program,
    resolve: Resolve,
    axes: Sequence[str],
    keys: Sequence[DataStoreKey],
    laws: Sequence[str] = (),
) -> Listing:
    """What `program` says.

    axes: their names by index; keys: those of the data store by handle; laws: names of task_laws.
    """
    slot: Any = ffi.new("struct mxrc_program_slot *")
    ffi.memmove(slot, program.data, len(program.data))
    header = slot.program
    topics = [resolve(header.topic[index]) for index in range(header.topic_count)]
    context = _Context(resolve, axes, keys, laws, topics, slot)
    return Listing(
        resolve(header.task_name),
        resolve(header.sequence_name),
        name_of(TaskMode, header.mode).lower(),
        int(header.priority),
        header.period_ns / 1e6 if header.period_ns else None,
        context.condition(header.trigger),
        name_of(RestartPolicy, header.on_restart).lower(),
        name_of(RestartPolicy, header.on_safe_mode).lower(),
        _names(header.axes, axes),
        len(program.data),
        f"{program.crc:08x}",
        tuple(_row(index, slot, context) for index in range(program.op_count)),
    )


def text(shown: Listing) -> str:
    """A listing for a terminal."""
    period = f" every {shown.period_ms:g} ms" if shown.period_ms else ""
    trigger = f" by {shown.trigger}" if shown.trigger else ""
    head = (
        f"task {shown.task}, sequence {shown.sequence}: {shown.mode}{period}{trigger}, "
        f"priority {shown.priority}, on restart {shown.on_restart}, "
        f"on safe mode {shown.on_safe_mode}\n"
        f"axes {', '.join(shown.axes) or 'none'}; {len(shown.ops)} operations, "
        f"{shown.bytes} bytes, CRC32C {shown.crc}\n\n"
    )
    cells = [("OP", "STEP", "KIND", "NEXT", "DOES")]
    for row in shown.ops:
        follows = "" if row.next in (None, row.op + 1) else f"-> {row.next}"
        cells.append((str(row.op), row.step, row.kind, follows, row.does))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return head + "".join(
        "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in cells
    )


@dataclass(frozen=True, slots=True)
class _Context:
    """What the numbers in an operation stand for."""

    resolve: Resolve
    axes: Sequence[str]
    keys: Sequence[DataStoreKey]
    laws: Sequence[str]
    topics: Sequence[str]
    slot: Any

    def condition(self, condition: Any) -> str:
        source = ConditionSource(condition.source)
        if source == ConditionSource.NONE:
            return ""
        compare = _COMPARISONS[Compare(condition.compare)]
        if source == ConditionSource.EVENT:
            any_value = (condition.compare, condition.value) == ANY_EVENT
            rest = "" if any_value else f" {compare} {condition.value:.15g}"
            return f"event {self.topics[condition.key]}{rest}"
        key = self.keys[condition.key]
        name = f"{key.name}[{condition.element}]" if key.elements > 1 else key.name
        edge = "; on the edge" if condition.edge else ""
        return f"{name} {compare} {_value(key, condition.value)}{edge}"


def _row(index: int, slot: Any, context: _Context) -> OpRow:
    op = slot.op[index]
    kind = OpKind(op.kind)
    does = [_DOES[kind](op, index, context)] if kind in _DOES else []
    if op.timeout_ns:
        does.append(f"timeout {_seconds(op.timeout_ns)}")
    if op.retries:
        pause = f" after {_seconds(op.backoff_ns)}" if op.backoff_ns else ""
        does.append(f"retries {op.retries}{pause}")
    if op.on_failure == OnFailure.RECOVERY:
        does.append(f"on failure -> {op.recovery}")
    elif op.on_failure:
        does.append(f"on failure {OnFailure(op.on_failure).name.lower().replace('_', ' ')}")
    return OpRow(
        index,
        context.resolve(op.action_name),
        kind.name.lower(),
        _names(op.axes, context.axes),
        "; ".join(one for one in does if one),
        None if kind in _LEADS_NOWHERE else int(op.next),
        int(op.progress) / 10,
    )


def _move(op: Any, _index: int, context: _Context) -> str:
    words = [_point(op.args, 0, op.axes, context)]
    if op.duration_ns:
        words.append(f"in {_seconds(op.duration_ns)}")
    else:
        words.append(f"at {op.args[SCALE_ARG]:.4g} of the limits")
    if op.count:
        words.append("via the points below")
    if op.key:
        words.append(Profile(op.key).name.lower())
    return "; ".join(words)


def _via(op: Any, index: int, context: _Context) -> str:
    before = index - 1
    while context.slot.op[before].kind == OpKind.VIA:
        before -= 1
    move = context.slot.op[before]
    points = min(VIA_PER_OP, move.count - (index - before - 1) * VIA_PER_OP)
    return "; ".join(_point(op.args, point * AXES, move.axes, context) for point in range(points))


def _point(args: Any, offset: int, axes: int, context: _Context) -> str:
    return ", ".join(
        f"{name} {args[offset + axis]:.6g}"
        for axis, name in enumerate(context.axes)
        if axes >> axis & 1
    )


def _hold(op: Any, _index: int, context: _Context) -> str:
    return f"{', '.join(_names(op.axes, context.axes))} for {_seconds(op.duration_ns)}"


def _wait(op: Any, _index: int, _context: _Context) -> str:
    return _seconds(op.duration_ns)


def _log(op: Any, _index: int, context: _Context) -> str:
    message = "".join(context.resolve(int(op.args[part])) for part in range(LOG_PARTS))
    return f"{name_of(Level, op.key).lower()}: {message}"


def _set_value(op: Any, _index: int, context: _Context) -> str:
    key = context.keys[op.key]
    values = ", ".join(_value(key, op.args[index]) for index in range(key.elements))
    return f"{key.name} = {f'[{values}]' if key.elements > 1 else values}"


def _emit_event(op: Any, _index: int, context: _Context) -> str:
    values = ", ".join(f"{op.args[index]:.15g}" for index in range(op.count))
    return f"{context.resolve(op.key)}({values})"


def _control_law(op: Any, _index: int, context: _Context) -> str:
    law = context.laws[op.key] if op.key < len(context.laws) else f"law {op.key}"
    words = [f"{law} drives {', '.join(_names(op.axes, context.axes))}" if op.axes else law]
    if op.count:
        words.append(f"with {', '.join(f'{op.args[index]:.15g}' for index in range(op.count))}")
    if op.duration_ns:
        words.append(f"for {_seconds(op.duration_ns)}")
    if op.condition.source:
        words.append(f"until {context.condition(op.condition)}")
    return " ".join(words)


def _wait_for(op: Any, _index: int, context: _Context) -> str:
    return context.condition(op.condition)


def _if(op: Any, _index: int, context: _Context) -> str:
    return f"{context.condition(op.condition)}; else -> {op.target}"


def _repeat(op: Any, _index: int, context: _Context) -> str:
    words = []
    if op.condition.source:
        words.append(f"while {context.condition(op.condition)}")
    if op.count:
        words.append(f"{'at most ' if words else ''}{op.count} times")
    return f"{', '.join(words)}; then -> {op.target}"


def _parallel(op: Any, _index: int, _context: _Context) -> str:
    branches = ", ".join(str(branch) for branch in op.branch if branch)
    return f"branches {branches}; {Join(op.key).name.lower()} of them -> {op.target}"


def _fail(op: Any, _index: int, _context: _Context) -> str:
    return name_of(Result, op.key) if op.key else "with the error of the step that failed"


_DOES: Final[dict[OpKind, Callable[[Any, int, _Context], str]]] = {
    OpKind.MOVE_JOINTS: _move,
    OpKind.VIA: _via,
    OpKind.HOLD: _hold,
    OpKind.WAIT: _wait,
    OpKind.LOG: _log,
    OpKind.SET_VALUE: _set_value,
    OpKind.CONTROL_LAW: _control_law,
    OpKind.WAIT_FOR: _wait_for,
    OpKind.EMIT_EVENT: _emit_event,
    OpKind.IF: _if,
    OpKind.REPEAT: _repeat,
    OpKind.PARALLEL: _parallel,
    OpKind.FAIL: _fail,
}
_LEADS_NOWHERE: Final = (OpKind.END, OpKind.FAIL, OpKind.VIA)
_COMPARISONS: Final = {compare: word for word, compare in COMPARISONS.items()}


def _value(key: DataStoreKey, value: float) -> str:
    if key.type == "bool":
        return "true" if value else "false"
    return f"{value:.15g}"


def _names(mask: int, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for index, name in enumerate(names) if mask >> index & 1)


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / 1e9:g} s"
