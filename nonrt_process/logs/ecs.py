"""Names and rules of the fields in the log files: the one table for both of them.

Documents follow the Elastic Common Schema (https://www.elastic.co/guide/en/ecs/current/) with
dotted keys at top level, as the ECS logging specification has it. No field is both a value and an
object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

ECS_VERSION: Final = "8.11.0"

TIMESTAMP: Final = "@timestamp"
LEVEL: Final = "log.level"
MESSAGE: Final = "message"
LOGGER: Final = "log.logger"
PROCESS_NAME: Final = "process.name"
PROCESS_PID: Final = "process.pid"
THREAD_ID: Final = "process.thread.id"
THREAD_NAME: Final = "process.thread.name"
ECS: Final = "ecs.version"
EVENT_KIND: Final = "event.kind"
EVENT_CATEGORY: Final = "event.category"
EVENT_CODE: Final = "event.code"
EVENT_SEQUENCE: Final = "event.sequence"
LABELS: Final = "labels"
TAGS: Final = "tags"
TRACE_ID: Final = "trace.id"
SPAN_ID: Final = "span.id"
ERROR_TYPE: Final = "error.type"
ERROR_MESSAGE: Final = "error.message"
ERROR_STACK: Final = "error.stack_trace"
HTTP_REQUEST_ID: Final = "http.request.id"
GENERATION: Final = "mxrc.generation"
TASK_ID: Final = "mxrc.task_id"
SEQUENCE_ID: Final = "mxrc.sequence_id"
ACTION_ID: Final = "mxrc.action_id"
EXECUTION_ID: Final = "mxrc.execution_id"
RT_STATE: Final = "mxrc.rt.state"
RT_SLOT: Final = "mxrc.rt.slot"
RT_CYCLE: Final = "mxrc.rt.cycle"
RT_EPOCH: Final = "mxrc.rt.epoch"
SUPPRESSED: Final = "mxrc.suppressed"
LOST: Final = "mxrc.lost"
LOST_FIRST: Final = "mxrc.lost_first"
LOST_LAST: Final = "mxrc.lost_last"
FILE_ID: Final = "mxrc.log_file_id"
DATASTORE_KEY: Final = "mxrc.datastore.key"
NUMA_NODE: Final = "mxrc.numa.node"
CYCLE_TIME: Final = "mxrc.cycle_time_us"

LEVELS: Final = ("trace", "debug", "info", "warn", "error", "critical")
"""Index: enum mxrc_level."""

FIELDS: Final[Mapping[str, str]] = {
    TIMESTAMP: "date",
    LEVEL: "keyword",
    MESSAGE: "text",
    LOGGER: "keyword",
    PROCESS_NAME: "keyword",
    PROCESS_PID: "long",
    THREAD_ID: "long",
    THREAD_NAME: "keyword",
    ECS: "keyword",
    EVENT_KIND: "keyword",
    EVENT_CATEGORY: "keyword",
    EVENT_CODE: "keyword",
    EVENT_SEQUENCE: "long",
    LABELS: "object",
    TAGS: "keyword",
    TRACE_ID: "keyword",
    SPAN_ID: "keyword",
    ERROR_TYPE: "keyword",
    ERROR_MESSAGE: "text",
    ERROR_STACK: "text",
    HTTP_REQUEST_ID: "keyword",
    GENERATION: "long",
    TASK_ID: "keyword",
    SEQUENCE_ID: "keyword",
    ACTION_ID: "keyword",
    EXECUTION_ID: "long",
    RT_STATE: "keyword",
    RT_SLOT: "long",
    RT_CYCLE: "long",
    RT_EPOCH: "long",
    SUPPRESSED: "long",
    LOST: "long",
    LOST_FIRST: "long",
    LOST_LAST: "long",
    FILE_ID: "keyword",
    DATASTORE_KEY: "keyword",
    NUMA_NODE: "long",
    CYCLE_TIME: "double",
}
"""Field -> Elasticsearch type. Arguments of RT events come on top: `argument_field`."""

ENUMERATED_UNITS: Final = frozenset({"state", "event", "cause", "result", "role", "policy"})
_PLAIN_UNITS: Final = frozenset({"", "count", "value", "unit", "axis", "op", "text"})
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
# JSON allows them as they are, and yet there are readers that end a line at each.
_SEPARATORS: Final = tuple((char.encode(), b"\\u%04x" % ord(char)) for char in "\u0085\u2028\u2029")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def argument_field(name: str, unit: str) -> str:
    """Field of an argument of events.def: `mxrc.<name>`, and its unit if it is a physical one."""
    plain = unit in _PLAIN_UNITS or unit in ENUMERATED_UNITS
    return f"mxrc.{name}" if plain else f"mxrc.{name}_{unit}"


def is_name(unit: str) -> bool:
    """Whether an argument of that unit is shown as a name, not as a number."""
    return unit in ENUMERATED_UNITS or unit == "text"


def argument_type(unit: str) -> str:
    """Elasticsearch type of such a field."""
    return "keyword" if is_name(unit) else "double"


def encode(document: Mapping[Any, Any]) -> bytes:
    """One line, newline included, whatever the values are.

    Line breaks and control characters are escaped by JSON, NaN and infinities become null, integers
    beyond 64 bits and values of other types text, lone surrogates U+FFFD.
    """
    try:
        line = orjson.dumps(document, default=str, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        line = orjson.dumps(_plain(document, 0), default=text_of, option=_OPTIONS)
    return escape_separators(line)


def encode_text(text: str) -> bytes:
    """A JSON string, quotes included; lone surrogates become U+FFFD."""
    return orjson.dumps(_text(text))


def escape_separators(lines: bytes) -> bytes:
    """Escape what JSON allows as it is and some readers take for the end of a line."""
    for raw, escaped in _SEPARATORS:
        if raw in lines:
            lines = lines.replace(raw, escaped)
    return lines


def _text(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def text_of(value: object) -> str:
    """`str(value)`, whatever it is; lone surrogates become U+FFFD."""
    try:
        return _text(str(value))
    except Exception as error:  # noqa: BLE001 - a broken __str__ must not cost the line
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 64 else hex(value)
    if depth > 16:
        return "..."
    if isinstance(value, Mapping):
        return {text_of(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    return text_of(value)
