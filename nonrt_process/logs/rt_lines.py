"""RT event records to lines: text and fields from events.def, names, wall-clock time, threads.

A batch is taken apart by message id. What is the same for all events of a message is made once,
what differs is made per column (columns.py), so that a line costs a few microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from nonrt_process.logs import columns, ecs
from nonrt_process.logs.columns import Part
from shared.anchors import Anchors
from shared.enums import Result, RtState, name_of
from shared.events import EventDef, event_table, format_event, format_value
from shared.layout import EVENT_DTYPE, Records
from shared.names import Names

if TYPE_CHECKING:
    from shared.segment import Segment

PROCESS_NAME: Final = "rt_process"
LOST_CODE: Final = "EVENTS_LOST"
# Loggers whose events tell how a process lives, in ECS terms.
_CATEGORIES: Final = {"rt.state": ["process"], "rt.lease": ["process"], "rt.main": ["process"]}
_CONFIGURATION: Final = ["configuration"]
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_TASK_COLUMNS: Final = ("execution_id", "task_name", "sequence_name", "action_name", "task_id")
_TASK_DTYPE: Final = np.dtype([(name, EVENT_DTYPE[name]) for name in _TASK_COLUMNS])


@dataclass(frozen=True, slots=True)
class Loss:
    """Events of a lane that were overwritten before they were read: numbers first .. last."""

    lane: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class _Template:
    """What is the same for all events of one message id.

    message: texts and, by number, arguments. fields: name and unit of each argument. logger, code,
    category: members of the JSON document.
    """

    definition: EventDef | None
    message: tuple[bytes | int, ...]
    fields: tuple[tuple[str, str], ...]
    logger: bytes
    code: bytes
    category: bytes


def _template(message_id: int) -> _Template:
    row = event_table().get(message_id)
    if row is None:
        code = _member(ecs.EVENT_CODE, str(message_id))
        return _Template(None, (), (), _member(ecs.LOGGER, "rt"), code, b"")
    category = _CONFIGURATION if row.name.startswith("CONFIG_") else _CATEGORIES.get(row.logger)
    places = {argument.name: index for index, argument in enumerate(row.arguments)}
    message: list[bytes | int] = []
    for index, piece in enumerate(_PLACEHOLDER.split(row.format)):
        if index % 2 and piece in places:
            message.append(places[piece])
        else:
            message.append(_inside("{" + piece + "}" if index % 2 else piece))
    fields = tuple(
        (ecs.argument_field(argument.name, argument.unit), argument.unit)
        for argument in row.arguments
    )
    return _Template(
        row,
        tuple(message),
        fields,
        _member(ecs.LOGGER, row.logger),
        _member(ecs.EVENT_CODE, row.name),
        _member(ecs.EVENT_CATEGORY, category) if category else b"",
    )


def _key(field: str) -> bytes:
    return f',"{field}":'.encode()


def _member(field: str, value: Any) -> bytes:
    return _key(field) + orjson.dumps(value)


def _inside(text: str) -> bytes:
    """`text` as it stands between the quotes of a JSON string."""
    return ecs.encode_text(text)[1:-1]


class RtLines:
    """Makes the lines of one generation's events. For one thread at a time."""

    def __init__(self, segment: Segment, instance: str) -> None:
        self._segment = segment
        self._generation = segment.generation
        self._names = Names(segment)
        self._anchors = Anchors(segment)
        self._instance = instance
        self._labels = _member(ecs.LABELS, {"instance": instance})
        self._generation_member = _member(ecs.GENERATION, self._generation)
        self._templates: dict[int, _Template] = {}
        self._pids: dict[int, int] = {}

    def encode(self, events: Records, lanes: NDArray[np.uint8]) -> bytes:
        """One line (newline included) for each event, in order; events have a message_id."""
        if not len(events):
            return b""
        self._learn_threads()
        messages, places = np.unique(events["message_id"], return_inverse=True)
        if len(messages) == 1:
            found = self._group(int(messages[0]), events, lanes)
        else:
            made: list[bytes] = []
            where = np.empty(len(events), np.intp)
            for index, message in enumerate(messages.tolist()):
                rows = np.flatnonzero(places == index)
                where[rows] = np.arange(len(made), len(made) + len(rows))
                made += self._group(message, events[rows], lanes[rows])
            found = list(map(made.__getitem__, where.tolist()))
        text = b"".join(found)
        return text if text.isascii() else ecs.escape_separators(text)

    def lost(self, loss: Loss, realtime_ns: int) -> bytes:
        """The line that says which events were overwritten before they could be written."""
        return self._loss_line(
            f"{len(loss)} RT events were overwritten before they were written here",
            realtime_ns,
            {
                ecs.LOST: len(loss),
                ecs.LOST_FIRST: loss.first * 16 + loss.lane,
                ecs.LOST_LAST: loss.last * 16 + loss.lane,
                ecs.GENERATION: self._generation,
            },
        )

    def left(self, count: int, realtime_ns: int) -> bytes:
        """The line that says how many went with a segment that was replaced meanwhile."""
        text = f"{count} RT events were lost: this file could not be written until their segment"
        return self._loss_line(f"{text} was replaced", realtime_ns, {ecs.LOST: count})

    def _loss_line(self, message: str, realtime_ns: int, fields: dict[str, int]) -> bytes:
        return ecs.encode(
            {
                ecs.TIMESTAMP: f"{np.datetime64(realtime_ns // 1000, 'us')}Z",
                ecs.LEVEL: "error",
                ecs.MESSAGE: message,
                ecs.LOGGER: "nonrt.logs",
                ecs.PROCESS_NAME: PROCESS_NAME,
                ecs.ECS: ecs.ECS_VERSION,
                ecs.EVENT_KIND: "pipeline_error",
                ecs.EVENT_CODE: LOST_CODE,
                **fields,
                ecs.LABELS: {"instance": self._instance},
            }
        )

    def _learn_threads(self) -> None:
        """Which process each thread belongs to, while it lives."""
        for member in range(self._segment.max_members):
            place = self._segment.member_struct(member)
            pid, tid = int(place.pid), int(place.tid)
            if pid:
                self._pids[pid] = pid
            if pid and tid:
                self._pids[tid] = pid

    def _group(self, message_id: int, events: Records, lanes: NDArray[np.uint8]) -> list[bytes]:
        """The lines of events with one message id."""
        template = self._templates.get(message_id)
        if template is None:
            template = self._templates[message_id] = _template(message_id)
        args = events["args"]
        message = self._message(message_id, template, args)
        numbers = events["seq"] // np.uint64(2) - np.uint64(1)
        threads = lanes.astype(np.uint64) << np.uint64(32) | events["tid"]
        parts: list[Part] = [
            b'{"%b":"' % ecs.TIMESTAMP.encode(),
            columns.timestamps(self._anchors.realtime_array(events["time_ns"])),
            b'"',
            columns.mapped(events["level"], _level),
            _key(ecs.MESSAGE) + b'"',
            *message,
            b'"',
            template.logger,
            columns.mapped(threads, self._thread),
            template.code,
            _key(ecs.EVENT_SEQUENCE),
            columns.integers(numbers * np.uint64(16) + lanes),
            self._generation_member,
            self._labels,
            columns.mapped(events["state"], _state),
            _key(ecs.RT_SLOT),
            columns.integers(events["slot"]),
            _key(ecs.RT_CYCLE),
            columns.integers(events["cycle"]),
            _key(ecs.RT_EPOCH),
            columns.integers(events["epoch"]),
            template.category,
            *_trace(events["trace_id"], events["span_id"]),
            self._task(events),
            columns.mapped(events["suppressed"], _suppressed),
            *_errors(events["error_code"], message),
        ]
        for index, (field, unit) in enumerate(template.fields):
            parts += self._argument(field, unit, args[:, index])
        return columns.lines([*parts, b"}\n"], len(events))

    def _thread(self, key: int) -> bytes:
        lane, tid = key >> 32, key & 0xFFFFFFFF
        main = lane & 1
        # The main thread's number is that of its process.
        return (
            f',"{ecs.PROCESS_NAME}":"{PROCESS_NAME}"'
            f',"{ecs.PROCESS_PID}":{tid if main else self._pids.get(tid, 0)}'
            f',"{ecs.THREAD_ID}":{tid},"{ecs.THREAD_NAME}":"{"main" if main else "rt"}"'
            f',"{ecs.ECS}":"{ecs.ECS_VERSION}","{ecs.EVENT_KIND}":"event"'
        ).encode()

    def _message(self, message_id: int, template: _Template, args: NDArray[Any]) -> list[Part]:
        """Parts of the message, as they stand between the quotes."""
        if template.definition is None:
            resolve = self._names.resolve
            return [[_inside(format_event(message_id, row, resolve)) for row in args.tolist()]]
        parts: list[Part] = []
        for piece in template.message:
            if isinstance(piece, bytes):
                parts.append(piece)
                continue
            unit = template.definition.arguments[piece].unit
            column = args[:, piece]
            if ecs.is_name(unit):
                parts.append(self._names_of(column, unit))
            else:
                parts.append(columns.number_texts(column))
        return parts

    def _argument(self, field: str, unit: str, column: NDArray[np.float64]) -> list[Part]:
        key = _key(field)
        if ecs.is_name(unit):
            return [key + b'"', self._names_of(column, unit), b'"']
        finite = np.isfinite(column)
        if finite.all():
            return [key, columns.numbers(column)]
        texts = columns.numbers(np.where(finite, column, 0.0))
        there = zip(texts, finite.tolist(), strict=True)
        return [[key + text if one else b"" for text, one in there]]

    def _names_of(self, column: NDArray[np.float64], unit: str) -> Part:
        resolve = self._names.resolve
        return columns.mapped(column, lambda value: _inside(format_value(value, unit, resolve)))

    def _task(self, events: Records) -> Part:
        """Members that name task, sequence and action in progress; made once for each."""
        packed = np.empty(len(events), _TASK_DTYPE)
        for name in _TASK_COLUMNS:
            packed[name] = events[name]
        keys = packed.view(f"S{_TASK_DTYPE.itemsize}").tolist()
        texts = {key: self._task_members(key) for key in set(keys)}
        return next(iter(texts.values())) if len(texts) == 1 else [texts[key] for key in keys]

    def _task_members(self, key: bytes) -> bytes:
        whole = key.ljust(_TASK_DTYPE.itemsize, b"\0")
        execution, task, sequence, action, task_id = np.frombuffer(whole, _TASK_DTYPE)[0].item()
        members = _member(ecs.EXECUTION_ID, execution) if execution else b""
        if task_id or task:
            text = task_id.decode("utf-8", "replace") if task_id else self._names.resolve(task)
            members += _key(ecs.TASK_ID) + ecs.encode_text(text)
        for field, number in ((ecs.SEQUENCE_ID, sequence), (ecs.ACTION_ID, action)):
            if number:
                members += _key(field) + ecs.encode_text(self._names.resolve(number))
        return members


def _level(level: int) -> bytes:
    return _member(ecs.LEVEL, ecs.LEVELS[min(level, len(ecs.LEVELS) - 1)])


def _state(state: int) -> bytes:
    return _member(ecs.RT_STATE, name_of(RtState, state))


def _suppressed(count: int) -> bytes:
    return _member(ecs.SUPPRESSED, count) if count else b""


def _trace(trace_ids: NDArray[np.uint8], span_ids: NDArray[np.uint8]) -> list[Part]:
    """trace.id and span.id where there are any."""
    traced = np.asarray(trace_ids.any(axis=1))
    if not traced.any():
        return []
    spanned = np.asarray(traced & span_ids.any(axis=1))
    traces, spans = columns.hexadecimal(trace_ids), columns.hexadecimal(span_ids)
    if spanned.all():
        return [_key(ecs.TRACE_ID) + b'"', traces, b'"' + _key(ecs.SPAN_ID) + b'"', spans, b'"']
    return [_where(traced, ecs.TRACE_ID, traces), _where(spanned, ecs.SPAN_ID, spans)]


def _where(there: NDArray[np.bool_], field: str, texts: Sequence[bytes]) -> list[bytes]:
    key = _key(field)
    pairs = zip(texts, there.tolist(), strict=True)
    return [b'%b"%b"' % (key, text) if one else b"" for text, one in pairs]


def _errors(codes: NDArray[np.uint32], message: list[Part]) -> list[Part]:
    """error.type and error.message where there is an error code."""
    failed = codes != 0
    if not failed.any():
        return []
    kinds = columns.mapped(codes, lambda code: _member(ecs.ERROR_TYPE, name_of(Result, code)))
    key = _key(ecs.ERROR_MESSAGE) + b'"'
    if failed.all():
        return [kinds, key, *message, b'"']
    assert isinstance(kinds, list), "some have one, some have none"
    rows = zip(kinds, columns.lines(message, len(codes)), failed.tolist(), strict=True)
    return [[b'%b%b%b"' % (kind, key, text) if one else b"" for kind, text, one in rows]]
