"""Lines of the log files as an OTLP request.

Messages: opentelemetry/proto/logs/v1/logs.proto. Names of attributes follow the semantic
conventions of OpenTelemetry where they have one (exception, thread), else they are those of the
lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from nonrt_process.logs import ecs
from shared.wall_time import realtime_ns

SEVERITY: Final[Mapping[str, int]] = {
    "trace": 1,
    "debug": 5,
    "info": 9,
    "warn": 13,
    "error": 17,
    "critical": 21,
}
"""Level -> SeverityNumber; critical is FATAL."""
_RENAMED: Final[Mapping[str, str]] = {
    ecs.ERROR_TYPE: "exception.type",
    ecs.ERROR_MESSAGE: "exception.message",
    ecs.ERROR_STACK: "exception.stacktrace",
    ecs.THREAD_ID: "thread.id",
    ecs.THREAD_NAME: "thread.name",
}
_ELSEWHERE: Final = frozenset(
    {
        ecs.TIMESTAMP, ecs.LEVEL, ecs.MESSAGE, ecs.LOGGER, ecs.TRACE_ID, ecs.SPAN_ID,
        ecs.ECS, ecs.EVENT_KIND, ecs.PROCESS_NAME,
    }
)  # fmt: skip
"""In fields of the record, in its scope or in the resource."""


def request_of(
    lines: Iterable[bytes], resource: Mapping[str, str], lowest: str, observed_ns: int
) -> tuple[bytes, int]:
    """Body of POST /v1/logs and the number of records in it; lines below `lowest` are left out."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(_attribute(*pair) for pair in resource.items())
    scopes: dict[str, ScopeLogs] = {}
    count = 0
    threshold = SEVERITY[lowest]
    for line in lines:
        try:
            document = orjson.loads(line)
            severity = SEVERITY[document[ecs.LEVEL]]
            if severity < threshold:
                continue
            record = _record(document, severity, observed_ns)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # not one of our lines
        logger = str(document.get(ecs.LOGGER, ""))
        if logger not in scopes:
            scopes[logger] = group.scope_logs.add()
            scopes[logger].scope.name = logger
        scopes[logger].log_records.append(record)
        count += 1
    return request.SerializeToString(), count


def _record(document: Mapping[str, Any], severity: int, observed_ns: int) -> LogRecord:
    record = LogRecord(
        time_unix_nano=realtime_ns(document[ecs.TIMESTAMP]),
        observed_time_unix_nano=observed_ns,
        severity_number=severity,  # type: ignore[arg-type]
        severity_text=document[ecs.LEVEL],
        trace_id=bytes.fromhex(document.get(ecs.TRACE_ID, "")),
        span_id=bytes.fromhex(document.get(ecs.SPAN_ID, "")),
    )
    record.body.string_value = str(document[ecs.MESSAGE])
    for field, value in document.items():
        if field == ecs.LABELS and isinstance(value, dict):
            for key, text in value.items():
                record.attributes.append(_attribute(f"labels.{key}", text))
        elif field not in _ELSEWHERE and value is not None:
            record.attributes.append(_attribute(_RENAMED.get(field, field), value))
    return record


def _attribute(key: str, value: Any) -> KeyValue:
    attribute = KeyValue(key=key)
    if isinstance(value, bool):
        attribute.value.bool_value = value
    elif isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        attribute.value.int_value = value
    elif isinstance(value, float):
        attribute.value.double_value = value
    elif isinstance(value, str):
        attribute.value.string_value = value
    else:
        attribute.value.string_value = orjson.dumps(value).decode()
    return attribute
