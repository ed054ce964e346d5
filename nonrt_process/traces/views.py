"""Traces as JSON: for people and programs of ours, and as OTLP/JSON."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_KINDS = {number: name.removeprefix("SPAN_KIND_") for name, number in Span.SpanKind.items()}
_IDS = ("traceId", "spanId", "parentSpanId")


def spans(request: bytes) -> list[dict[str, Any]]:
    """The spans of an ExportTraceServiceRequest by start; times Unix ns, ids in hex."""
    found = [
        _span(span, service)
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans
        for service in [str(_attributes(resource.resource).get("service.instance.id", ""))]
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    return sorted(found, key=lambda one: (one["start_ns"], -one["end_ns"]))


def otlp_json(request: bytes) -> dict[str, Any]:
    """The same by the OTLP/JSON encoding: ids in hex, enumerations as numbers.

    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    message = ExportTraceServiceRequest.FromString(request)
    document: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    for resource in document.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                for holder in (span, *span.get("links", [])):
                    for name in _IDS:
                        if name in holder:
                            holder[name] = base64.b64decode(holder[name]).hex()
    return document


def _span(span: Span, process: str) -> dict[str, Any]:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex() or None,
        "name": span.name,
        "kind": _KINDS[span.kind],
        "process": process,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "duration_ms": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
        "error": (span.status.message or "error") if span.status.code == 2 else None,
        "attributes": _attributes(span),
        "links": [
            {"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()} for link in span.links
        ],
    }


def _attributes(holder: Any) -> dict[str, Any]:
    found = {}
    for pair in holder.attributes:
        value = pair.value
        found[pair.key] = getattr(value, value.WhichOneof("value") or "string_value")
    return found
