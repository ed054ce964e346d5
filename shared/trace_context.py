"""W3C trace context and baggage: parsing, formatting, ids and head sampling.

After the recommendations Trace Context (https://www.w3.org/TR/trace-context/, the random flag from
its level 2) and Baggage (https://www.w3.org/TR/baggage/). Parsing is strict: what the grammar does
not allow is never carried on. Ids are bytes in network order, as they stand in shared memory.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

FLAG_SAMPLED: Final = 0x01
FLAG_RANDOM: Final = 0x02
_KNOWN_FLAGS: Final = FLAG_SAMPLED | FLAG_RANDOM

MAX_TRACESTATE_MEMBERS: Final = 32
MAX_TRACESTATE_CHARACTERS: Final = 512
_LONG_MEMBER: Final = 128
MAX_BAGGAGE_MEMBERS: Final = 64
MAX_BAGGAGE_BYTES: Final = 8192
_MAX_HEADER: Final = 16_384
_POOL_BYTES: Final = 8192

ALWAYS: Final = 1 << 64
"""Sampling threshold of rate 1: above every 64-bit value, so it needs 65 bits."""

_OWS = " \t"
_TRACEPARENT = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)
_STATE_KEY = re.compile(
    r"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}", re.ASCII
)
_STATE_VALUE = re.compile(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_BAGGAGE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
# What may stand in a value as it is; "%" begins an escape, and many readers take "+" for a space.
_BAGGAGE_SAFE = "!#$&'()*-./:<=>?@[]^_`{|}~"

Tracestate = tuple[tuple[str, str], ...]
"""List-members of a tracestate, first (most recent) first."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A position in a trace: 16-byte trace id, 8-byte span id, flags; neither id all zero."""

    trace_id: bytes
    span_id: bytes
    flags: int = 0

    def __post_init__(self) -> None:
        if len(self.trace_id) != 16 or not any(self.trace_id):
            raise ValueError("a trace id is 16 bytes, not all zero")
        if len(self.span_id) != 8 or not any(self.span_id):
            raise ValueError("a span id is 8 bytes, not all zero")
        if not 0 <= self.flags <= 0xFF:
            raise ValueError("trace flags are one byte")

    @property
    def sampled(self) -> bool:
        return bool(self.flags & FLAG_SAMPLED)

    def child(self) -> TraceContext:
        """The same trace and flags with a new span id."""
        return TraceContext(self.trace_id, generate_span_id(), self.flags)


@dataclass(frozen=True, slots=True)
class BaggageMember:
    """A value (decoded) with its properties as they were sent."""

    value: str
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Propagated:
    """What a request's headers carry.

    context is None where there was no valid traceparent, and tracestate is then empty.
    problems: what was refused or left out, for the log.
    """

    context: TraceContext | None = None
    tracestate: Tracestate = ()
    baggage: Mapping[str, BaggageMember] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


# ---- ids and sampling ----


def generate_trace_id() -> bytes:
    """16 random bytes, not all zero."""
    return _random(16)


def generate_span_id() -> bytes:
    """8 random bytes, not all zero."""
    return _random(8)


class _Pool(threading.local):
    """Random bytes of the kernel, fetched for many ids at once: each call gives the GIL away."""

    fetched = b""
    taken = 0

    def take(self, size: int) -> bytes:
        begin = self.taken
        if len(self.fetched) - begin < size:
            self.fetched, begin = os.urandom(_POOL_BYTES), 0
        self.taken = begin + size
        return self.fetched[begin : self.taken]


_pool = _Pool()


def _forget_random() -> None:
    """In a child of fork: it must not give the same ids as its parent."""
    global _pool
    _pool = _Pool()


os.register_at_fork(after_in_child=_forget_random)


def _random(size: int) -> bytes:
    while not any(value := _pool.take(size)):
        pass
    return value


def sampling_threshold(rate: float) -> int:
    """Threshold in 0..2**64 of a rate in 0..1, as the OpenTelemetry SDK's TraceIdRatioBased.

    Raises:
        ValueError: the rate is not in 0..1.
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"sampling rate {rate} is not from 0 to 1")
    return round(rate * ALWAYS)


def is_sampled(trace_id: bytes, threshold: int) -> bool:
    """Head-sampling decision by trace id: its low 64 bits are below the threshold."""
    return int.from_bytes(trace_id[8:], "big") < threshold


def start_span(parent: TraceContext | None, threshold: int) -> TraceContext:
    """Context of a new span.

    With a parent a child that keeps its decision, else a new trace, sampled by its id.
    """
    if parent is not None:
        return parent.child()
    trace_id = generate_trace_id()
    flags = FLAG_RANDOM | (FLAG_SAMPLED if is_sampled(trace_id, threshold) else 0)
    return TraceContext(trace_id, generate_span_id(), flags)


# ---- traceparent ----


def parse_traceparent(header: str) -> TraceContext | None:
    """The context in a traceparent header, or None where it is not valid.

    Of a version that is not known the fields of version 00 are read; of the flags only those are
    kept that this version defines.
    """
    if len(header) > _MAX_HEADER:
        return None
    match = _TRACEPARENT.fullmatch(header.strip(_OWS))
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    known = int(flags, 16) & _KNOWN_FLAGS
    return TraceContext(bytes.fromhex(trace_id), bytes.fromhex(span_id), known)


def format_traceparent(context: TraceContext) -> str:
    """A version-00 traceparent header; flags that it does not define are sent as zero."""
    flags = context.flags & _KNOWN_FLAGS
    return f"00-{context.trace_id.hex()}-{context.span_id.hex()}-{flags:02x}"


# ---- tracestate ----


def parse_tracestate(headers: Iterable[str]) -> Tracestate | None:
    """The members of one or more tracestate headers, or None where they are not valid.

    One wrong member, a key given twice or more than 32 members make the whole invalid. Empty
    members are allowed and left out.
    """
    combined = ",".join(headers)
    if len(combined) > _MAX_HEADER:
        return None
    members: dict[str, str] = {}
    for part in combined.split(","):
        member = part.strip(_OWS)
        if not member:
            continue
        key, equals, value = member.partition("=")
        if (
            not equals
            or not _STATE_KEY.fullmatch(key)
            or not _STATE_VALUE.fullmatch(value)
            or key in members
        ):
            return None
        members[key] = value
    if len(members) > MAX_TRACESTATE_MEMBERS:
        return None
    return tuple(members.items())


def format_tracestate(tracestate: Tracestate, limit: int = MAX_TRACESTATE_CHARACTERS) -> str:
    """A tracestate header of at most `limit` characters.

    Beyond it members of more than 128 characters go first, then those at the end.
    """
    if not tracestate:
        return ""
    members = [f"{key}={value}" for key, value in tracestate]

    def too_long() -> bool:
        return sum(map(len, members)) + len(members) - 1 > limit

    for index in range(len(members) - 1, -1, -1):
        if too_long() and len(members[index]) > _LONG_MEMBER:
            del members[index]
    while members and too_long():
        members.pop()
    return ",".join(members)


# ---- baggage ----


def parse_baggage(headers: Iterable[str]) -> tuple[dict[str, BaggageMember], int]:
    """The members of one or more baggage headers, and how many were left out.

    Left out: malformed members, and those beyond 64 members or 8192 bytes. Of a key given twice
    the last value counts, as in OpenTelemetry, and the first is left out.
    """
    members: dict[str, BaggageMember] = {}
    dropped = 0
    size = -1
    for part in ",".join(headers).split(","):
        text = part.strip(_OWS)
        if not text:
            continue
        size += len(text) + 1
        parsed = _parse_baggage_member(text) if size <= MAX_BAGGAGE_BYTES else None
        if parsed is None:
            dropped += 1
            continue
        key, member = parsed
        if key in members:
            dropped += 1
        elif len(members) == MAX_BAGGAGE_MEMBERS:
            dropped += 1
            continue
        members[key] = member
    return members, dropped


def _parse_baggage_member(text: str) -> tuple[str, BaggageMember] | None:
    first, *rest = text.split(";")
    key, equals, value = (piece.strip(_OWS) for piece in first.partition("="))
    if not equals or not _TOKEN.fullmatch(key) or not _BAGGAGE_VALUE.fullmatch(value):
        return None
    properties = []
    for piece in rest:
        name, separator, content = (part.strip(_OWS) for part in piece.partition("="))
        if not _TOKEN.fullmatch(name) or not _BAGGAGE_VALUE.fullmatch(content):
            return None
        properties.append(name + separator + content)
    return key, BaggageMember(unquote(value, errors="replace"), tuple(properties))


def format_baggage(baggage: Mapping[str, BaggageMember]) -> tuple[str, int]:
    """A baggage header within the limits, and how many members did not fit.

    Raises:
        ValueError: a key that is not a token (RFC 9110).
    """
    out: list[str] = []
    size = -1
    for key, member in baggage.items():
        if not _TOKEN.fullmatch(key):
            raise ValueError(f"baggage key {key!r} is not a token")
        value = quote(member.value, safe=_BAGGAGE_SAFE, errors="replace")
        text = ";".join((f"{key}={value}", *member.properties))
        if len(out) < MAX_BAGGAGE_MEMBERS and size + len(text) + 1 <= MAX_BAGGAGE_BYTES:
            out.append(text)
            size += len(text) + 1
    return ",".join(out), len(baggage) - len(out)


# ---- headers ----


def extract(headers: Iterable[tuple[str, str]]) -> Propagated:
    """What the headers of a request (names in any case, repeated where they were) carry."""
    found: dict[str, list[str]] = {"traceparent": [], "tracestate": [], "baggage": []}
    for name, value in headers:
        values = found.get(name.lower())
        if values is not None:
            values.append(value)
    problems = []
    context: TraceContext | None = None
    tracestate: Tracestate | None = ()
    parents = found["traceparent"]
    if len(parents) > 1:
        problems.append(f"{len(parents)} traceparent headers, none used")
    elif parents:
        context = parse_traceparent(parents[0])
        if context is None:
            problems.append("traceparent is not valid, a new trace is started")
    if context is not None and found["tracestate"]:
        tracestate = parse_tracestate(found["tracestate"])
        if tracestate is None:
            problems.append("tracestate is not valid, left out")
    baggage, dropped = parse_baggage(found["baggage"])
    if dropped:
        problems.append(f"{dropped} baggage members left out")
    return Propagated(context, tracestate or (), baggage, tuple(problems))


def inject(
    context: TraceContext,
    tracestate: Tracestate = (),
    baggage: Mapping[str, BaggageMember] | None = None,
) -> dict[str, str]:
    """The headers that carry a context on; empty ones are left out."""
    headers = {
        "traceparent": format_traceparent(context),
        "tracestate": format_tracestate(tracestate),
        "baggage": format_baggage(baggage or {})[0],
    }
    return {name: value for name, value in headers.items() if value}
