"""What a line of the log files must be: checked against the table of fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from nonrt_process.logs import ecs
from nonrt_process.logs.elastic import field_types

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z")
_REQUIRED: Final = (
    ecs.TIMESTAMP, ecs.LEVEL, ecs.MESSAGE, ecs.LOGGER, ecs.PROCESS_NAME, ecs.PROCESS_PID,
    ecs.ECS, ecs.EVENT_KIND, ecs.LABELS,
)  # fmt: skip
_KINDS: Final = {"event", "pipeline_error"}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def _texts(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(one, str) for one in value)
    )


_OF_TYPE: Final[Mapping[str, Callable[[Any], bool]]] = {
    "date": lambda value: isinstance(value, str) and _STAMP.fullmatch(value) is not None,
    "keyword": _texts,
    "text": lambda value: isinstance(value, str),
    "long": _whole,
    "double": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "object": lambda value: (
        isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    ),
}
_OF_FIELD: Final[Mapping[str, Callable[[Any], bool]]] = {
    ecs.LEVEL: lambda value: value in ecs.LEVELS,
    ecs.TRACE_ID: lambda value: re.fullmatch(r"(?!0{32})[0-9a-f]{32}", str(value)) is not None,
    ecs.SPAN_ID: lambda value: re.fullmatch(r"(?!0{16})[0-9a-f]{16}", str(value)) is not None,
    ecs.EVENT_KIND: lambda value: value in _KINDS,
    ecs.PROCESS_NAME: lambda value: value in {"rt_process", "non_rt_process"},
}


def violations(line: bytes) -> list[str]:
    """What is wrong with a line (newline included); empty: nothing."""
    try:
        text = line.decode()
        document = json.loads(text, parse_constant=lambda name: f"not JSON: {name}")
    except ValueError as error:
        return [f"no JSON: {error}"]
    if not isinstance(document, dict):
        return ["no object"]
    found = []
    if not line.endswith(b"\n") or len(text.splitlines()) != 1:
        found.append("not one line")
    if tuple(document)[:3] != (ecs.TIMESTAMP, ecs.LEVEL, ecs.MESSAGE):
        found.append(f"begins with {tuple(document)[:3]}")
    found += [f"{field} is missing" for field in _REQUIRED if field not in document]
    types = field_types()
    for field, value in document.items():
        kind = types.get(field)
        if kind is None:
            found.append(f"{field} is in no table")
        elif value is None and field == ecs.PROCESS_PID:
            pass  # the first line of a file that belongs to another process
        elif not _OF_TYPE[kind](value) or not _OF_FIELD.get(field, lambda _: True)(value):
            found.append(f"{field} is not {kind}: {value!r}")
        if any(other.startswith(f"{field}.") for other in document):
            found.append(f"{field} is a value and an object")
    return found
