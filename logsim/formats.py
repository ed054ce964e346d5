"""The three output formats: text for people and multiline parsers, JSON, and ECS for log pipelines.

A formatter turns a record into its text, line end included, and the number of lines in it. What
does not change from record to record is put together once: one template for each error and format,
one fragment for each service and request. Drawn values and messages hold no character that JSON
would escape (logsim.scenarios.base, logsim.stories.journeys), so they go into prepared JSON as
they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Protocol

from logsim.clock import IsoStamp, TextStamp
from logsim.levels import Level
from logsim.record import Record
from logsim.request import Request
from logsim.scenarios.base import ErrorTemplate, Scenario, Values
from logsim.services import Service

ECS_VERSION = "8.11.0"


class Formatter(Protocol):
    """Renders records of one run."""

    def render(self, record: Record) -> tuple[str, int]:
        """The record's text with its line end, and how many lines that is."""
        ...


class TraceContext:
    """W3C ids: the trace id is the request's, every record is a span of its own.

    The span ids come from a generator of their own, so that the story is the same with and without.
    """

    def __init__(self, random: Random) -> None:
        self._bits = random.getrandbits

    def span_id(self) -> str:
        # An all-zero span id is invalid; the lowest bit rules it out.
        return f"{self._bits(64) | 1:016x}"


def make_formatter(name: str, trace_context: TraceContext | None) -> Formatter:
    """`name` is `text`, `json` or `ecs`; with a trace context every record carries its ids."""
    if name == "text":
        return TextFormatter(trace_context)
    return JsonFormatter(_json_line if name == "json" else _ecs_line, trace_context)


class TextFormatter:
    """`[LEVEL] YYYY-MM-DD hh:mm:ss.mmm service/vX.Y.Z: message`; an error goes on below it."""

    def __init__(self, trace_context: TraceContext | None) -> None:
        self._stamp = TextStamp()
        self._trace_context = trace_context
        self._errors: dict[int, tuple[str, int]] = {}
        self._labels: dict[str, str] = {}

    def render(self, record: Record) -> tuple[str, int]:
        service = record.service
        request = record.request
        stamp = self._stamp(record.ms)
        pod = request.pod(service)
        trace = ""
        if self._trace_context:
            trace = f"00-{request.trace_id}-{self._trace_context.span_id()}-01"
        if record.template is not None and record.values is not None and record.scenario:
            template, lines = self._error(record.template, record.scenario)
            values = record.values
            _add_ids(values, request, stamp, pod)
            values["log_traceparent"] = trace
            return template % values, lines
        ids = request.rendered
        if not ids:
            ids = request.rendered = (
                f" request_id={request.request_id} correlation_id={request.correlation_id}"
                f" user_id={request.user_id} pod="
            )
        label = self._labels.get(service.name)
        if label is None:
            label = self._labels[service.name] = service.label
        tail = f" traceparent={trace}\n" if trace else "\n"
        return f"[{record.level}] {stamp} {label}: {record.message}{ids}{pod}{tail}", 1

    def _error(self, template: ErrorTemplate, scenario: Scenario) -> tuple[str, int]:
        known = self._errors.get(id(template))
        if known is None:
            text = text_error(template, scenario, traceparent=self._trace_context is not None)
            known = self._errors[id(template)] = text, text.count("\n")
        return known


def text_error(template: ErrorTemplate, scenario: Scenario, *, traceparent: bool) -> str:
    """The %-template of a whole error: header, details, recovery action, stack trace, footer."""
    service = template.service
    lines = [
        f"[ERROR] %(log_stamp)s {service.label}: {template.message}",
        f"ERROR: {scenario.code} request_id=%(log_request)s",
        "    Pod: %(log_pod)s",
        f"    Version: {service.version}",
        "    Request ID: %(log_request)s",
        "    User ID: %(log_user)s",
        "    Correlation ID: %(log_correlation)s",
    ]
    if traceparent:
        lines.append("    Traceparent: %(log_traceparent)s")
    lines.extend(f"    {name}: {value}" for name, value in template.details)
    lines.append(f"    Recovery action: {template.recovery}")
    lines.extend(template.trace)
    lines.append(f"--- end of {scenario.code} request_id=%(log_request)s ---")
    return "\n".join(lines) + "\n"


# Builds the JSON object of a record as a %-template: (service, level, error and its scenario or
# None, with trace ids). What changes from record to record is named in it, `log_...` for what every
# record has; those stand in the order of _VARYING, which spares plain lines a dictionary each.
LineTemplate = Callable[[Service, Level, ErrorTemplate | None, Scenario | None, bool], str]

_VARYING = (
    "log_stamp",
    "log_message",
    "log_pod",
    "log_logger",
    "log_thread",
    "log_request",
    "log_correlation",
    "log_user",
)
_VARYING_TRACED = (*_VARYING, "log_trace", "log_span")


class JsonFormatter:
    """One JSON object a line, errors included: the stack trace is a string with line ends in it."""

    def __init__(self, line: LineTemplate, trace_context: TraceContext | None) -> None:
        self._stamp = IsoStamp()
        self._line = line
        self._trace_context = trace_context
        self._errors: dict[int, str] = {}
        self._plain: dict[Level, dict[str, str]] = {"INFO": {}, "WARN": {}, "ERROR": {}}

    def render(self, record: Record) -> tuple[str, int]:
        if record.template is not None and record.values is not None:
            return self._error(record, record.template, record.values), 1
        service = record.service
        request = record.request
        template = self._plain[record.level].get(service.name)
        if template is None:
            template = self._plain_template(service, record.level)
        varying: tuple[str, ...] = (
            self._stamp(record.ms),
            record.message,
            request.pod(service),
            record.logger,
            f"exec-{1 + request.figure % 8}" if service.language == "java" else "MainThread",
            request.request_id,
            request.correlation_id,
            request.user_id,
        )
        if self._trace_context:
            varying = (*varying, request.trace_id, self._trace_context.span_id())
        return template % varying, 1

    def _error(self, record: Record, error: ErrorTemplate, values: Values) -> str:
        traced = self._trace_context is not None
        template = self._errors.get(id(error))
        if template is None:
            template = self._line(record.service, "ERROR", error, record.scenario, traced)
            self._errors[id(error)] = template
        request = record.request
        _add_ids(values, request, self._stamp(record.ms), request.pod(record.service))
        if self._trace_context:
            values["log_trace"] = request.trace_id
            values["log_span"] = self._trace_context.span_id()
        return template % values

    def _plain_template(self, service: Service, level: Level) -> str:
        traced = self._trace_context is not None
        named = self._line(service, level, None, None, traced)
        names = tuple(re.findall(r"%\((\w+)\)s", named))
        assert names == (_VARYING_TRACED if traced else _VARYING), names
        template = self._plain[level][service.name] = re.sub(r"%\(\w+\)s", "%s", named)
        return template


def _add_ids(values: Values, request: Request, stamp: str, pod: str) -> None:
    values["log_stamp"] = stamp
    values["log_pod"] = pod
    values["log_request"] = request.request_id
    values["log_correlation"] = request.correlation_id
    values["log_user"] = request.user_id


def _json_line(
    service: Service,
    level: Level,
    error: ErrorTemplate | None,
    scenario: Scenario | None,
    traced: bool,
) -> str:
    document: dict[str, object] = {
        "timestamp": "%(log_stamp)s",
        "level": level,
        "message": error.message if error else "%(log_message)s",
        "service": service.name,
        "version": service.version,
        "pod": "%(log_pod)s",
        "logger": error.logger if error else "%(log_logger)s",
        "thread": error.thread if error else "%(log_thread)s",
        "request_id": "%(log_request)s",
        "correlation_id": "%(log_correlation)s",
        "user_id": "%(log_user)s",
    }
    if traced:
        document["traceparent"] = "00-%(log_trace)s-%(log_span)s-01"
    if error and scenario:
        document["error"] = {
            "code": scenario.code,
            "type": error.error_type,
            "message": error.error_message,
            "details": {_key(name): value for name, value in error.details},
            "recovery_action": error.recovery,
            "stack_trace": "\n".join(error.trace),
        }
    return json.dumps(document, separators=(",", ":")) + "\n"


def _ecs_line(
    service: Service,
    level: Level,
    error: ErrorTemplate | None,
    scenario: Scenario | None,
    traced: bool,
) -> str:
    """Elastic Common Schema, dotted names; what ECS has no field for goes into `labels`.

    Time, level and message come first, as the ECS logging specification has it.
    """
    labels: dict[str, str] = {"correlation_id": "%(log_correlation)s"}
    document: dict[str, object] = {
        "@timestamp": "%(log_stamp)s",
        "log.level": level.lower(),
        "message": error.message if error else "%(log_message)s",
        "ecs.version": ECS_VERSION,
        "service.name": service.name,
        "service.version": service.version,
        "service.node.name": "%(log_pod)s",
        "event.dataset": f"{service.name}.log",
        "log.logger": error.logger if error else "%(log_logger)s",
        "process.name": "java" if service.language == "java" else "python",
        "process.pid": 1,
        "process.thread.name": error.thread if error else "%(log_thread)s",
        "http.request.id": "%(log_request)s",
        "labels": labels,
        "user.id": "%(log_user)s",
    }
    if traced:
        document["trace.id"] = "%(log_trace)s"
        document["span.id"] = "%(log_span)s"
    if error and scenario:
        labels["recovery_action"] = error.recovery
        labels.update((_key(name), value) for name, value in error.details)
        document["error.code"] = scenario.code
        document["error.type"] = error.error_type
        document["error.message"] = error.error_message
        document["error.stack_trace"] = "\n".join(error.trace)
    return json.dumps(document, separators=(",", ":")) + "\n"


def _key(name: str) -> str:
    return name.lower().replace(" ", "_")
