"""OTLP trace messages as bytes, appended field by field.

Field numbers: opentelemetry/proto/trace/v1/trace.proto, common.proto, resource.proto and
collector/trace/v1/trace_service.proto (https://github.com/open-telemetry/opentelemetry-proto).
Wire format: https://protobuf.dev/programming-guides/encoding/. A span takes a few microseconds this
way and is small in the queue; requests are put together without looking into the spans again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

AttributeValue = str | bool | int | float

KIND_INTERNAL: Final = 1
KIND_SERVER: Final = 2
KIND_PRODUCER: Final = 4
KIND_CONSUMER: Final = 5
STATUS_UNSET: Final = 0
STATUS_OK: Final = 1
STATUS_ERROR: Final = 2
FLAG_PARENT_KNOWN: Final = 0x100
"""The next bit tells whether the parent is of another process."""
FLAG_PARENT_REMOTE: Final = 0x200

_MASK: Final = (1 << 64) - 1
_FIXED64 = struct.Struct("<Q")
_TIMES = struct.Struct("<BQBQ")
_DOUBLE = struct.Struct("<d")
_FLAGS = struct.Struct("<BBI")
_SMALL: Final = tuple(bytes([n]) for n in range(128))


def varint(number: int) -> bytes:
    """Base-128 varint of 0 <= number < 2^64."""
    if number < 128:
        return _SMALL[number]
    out = bytearray()
    while number >= 128:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field (string, bytes, message)."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def _value(value: AttributeValue) -> bytes:
    if isinstance(value, bool):  # before int: True is one
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            return b"\x18" + varint(value & _MASK)
        return field(1, str(value).encode())
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    return field(1, value.encode("utf-8", "replace"))


def attribute(key: str, value: AttributeValue) -> bytes:
    """An element of Span.attributes."""
    return field(9, field(1, key.encode("utf-8", "replace")) + field(2, _value(value)))


@lru_cache(maxsize=4096)
def text_attribute(key: str, value: str) -> bytes:
    """The same, remembered: names of tasks and actions come again and again."""
    return attribute(key, value)


def attributes(values: Mapping[str, AttributeValue]) -> bytes:
    """Span.attributes, all of them."""
    return b"".join(attribute(key, value) for key, value in values.items())


@lru_cache(maxsize=1024)
def name_and_kind(name: str, kind: int) -> bytes:
    """Span.name and Span.kind."""
    return field(5, name.encode("utf-8", "replace")) + b"\x30" + varint(kind)


def span(
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_span_id: bytes,
    name: str,
    kind: int,
    start_ns: int,
    end_ns: int,
    attributes: bytes = b"",
    links: bytes = b"",
    status: int = STATUS_UNSET,
    status_message: str = "",
    flags: int = 0,
    trace_state: str = "",
) -> bytes:
    """A Span message. Ids: 16, 8 and 8 bytes, parent empty or zero for a root. Times: Unix ns."""
    parts = [b"\x0a\x10", trace_id, b"\x12\x08", span_id]
    if trace_state:
        parts.append(field(3, trace_state.encode()))
    if any(parent_span_id):
        parts += (b"\x22\x08", parent_span_id)
    parts += (
        name_and_kind(name, kind),
        _TIMES.pack(0x39, start_ns & _MASK, 0x41, max(start_ns, end_ns) & _MASK),
        attributes,
    )
    parts += links, status_field(status, status_message), flags_field(flags)
    return b"".join(parts)


def status_field(code: int, message: str) -> bytes:
    """Span.status; empty when it is unset."""
    if not (code or message):
        return b""
    text = field(2, message.encode("utf-8", "replace")) if message else b""
    return field(15, text + b"\x18" + varint(code))


def link_flags(value: int) -> bytes:
    """Span.Link.flags."""
    return struct.pack("<BI", 0x35, value)


def flags_field(value: int) -> bytes:
    """Span.flags."""
    return _FLAGS.pack(0x85, 0x01, value)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where spans come from: a resource and a scope, encoded once."""

    resource: bytes
    scope: bytes

    @classmethod
    def make(cls, resource: Mapping[str, AttributeValue], scope: str, version: str) -> Origin:
        """resource: its attributes. scope: name of the instrumentation."""
        message = Resource()
        for key, value in resource.items():
            pair = message.attributes.add(key=key)
            if isinstance(value, bool):
                pair.value.bool_value = value
            elif isinstance(value, int):
                pair.value.int_value = value
            elif isinstance(value, float):
                pair.value.double_value = value
            else:
                pair.value.string_value = value
        library = InstrumentationScope(name=scope, version=version)
        return cls(message.SerializeToString(), library.SerializeToString())


class Finished(NamedTuple):
    """A finished span on its way out. element: of ScopeSpans.spans, with tag and length.

    error: why it failed, empty: it did not.
    """

    origin: Origin
    element: bytes
    trace_id: bytes
    span_id: bytes
    name: str
    task_id: str
    error: str
    start_ns: int
    end_ns: int


def resource_spans(origin: Origin, spans: Sequence[bytes]) -> bytes:
    """A request with the spans of one origin; each given as an element of ScopeSpans.spans.

    Requests put behind each other are one request: their only field is a repeated one.
    """
    scope_spans = field(1, origin.scope) + b"".join(spans)
    return field(1, field(1, origin.resource) + field(2, scope_spans))


def request(finished: Iterable[Finished]) -> bytes:
    """An ExportTraceServiceRequest with these spans, in their order within each origin."""
    groups: dict[Origin, list[bytes]] = {}
    for one in finished:
        groups.setdefault(one.origin, []).append(one.element)
    return b"".join(resource_spans(origin, spans) for origin, spans in groups.items())
