"""JSON documents in the segment, each under a sequence word. Needs no numpy.

member document  what an RT process's main thread says about itself: placement, degraded reasons
Non-RT document  ports in force, status
admin request    what Non-RT asks the main thread of the PRIMARY; answered by its admin_reply
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from shared.core import MxrcError, ffi, lib, system_error
from shared.enums import RegionId
from shared.segment import Segment

MEMBER_BYTES: Final = int(ffi.typeof("struct mxrc_member").fields[-1][1].type.length)
DOCUMENT_BYTES: Final = int(ffi.typeof("struct mxrc_document").fields[-1][1].type.length)
_ADMIN_LOCK: Final = threading.Lock()  # of the Non-RT process, the one writer
_ADMIN_TAKEN_S: Final = 0.5
"""Ten turns of the PRIMARY's main thread: it has read a request by then, if it runs at all."""
_ADMIN_PAUSE_S: Final = 0.005
_admin_written_s = 0.0  # when the last one was, under the lock


class DocumentTooLarge(MxrcError):
    """The text does not fit into its place in the segment."""


class Request(NamedTuple):
    """An admin request: its number (from 1) and its content."""

    number: int
    content: dict[str, Any]


def _encode(document: Mapping[str, Any], capacity: int) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > capacity:
        raise DocumentTooLarge(f"a document of {len(text)} bytes does not fit into {capacity}")
    return text


def _write(seq: Any, target: Any, size: Any, capacity: int, document: Mapping[str, Any]) -> None:
    text = _encode(document, capacity)
    result = lib.mxrc_document_write(seq, target, size, capacity, text, len(text))
    if result:
        raise MxrcError(f"the document could not be written: {system_error(result)}")


def _read(seq: Any, source: Any, size: Any, capacity: int) -> dict[str, Any]:
    """{} when nothing was ever written, or the writer died in the middle."""
    out = ffi.new("uint8_t[]", capacity)
    length = ffi.new("uint32_t *")
    if lib.mxrc_document_read(seq, source, size, out, capacity, length) or not length[0]:
        return {}
    try:
        document = json.loads(bytes(ffi.buffer(out, length[0])))
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _place(struct: Any, field: str) -> Any:
    return ffi.addressof(struct[0], field)


def write_member_document(segment: Segment, document: Mapping[str, Any]) -> None:
    """Write the document of this RT process; main thread only."""
    member = segment.member_struct(segment.member)
    _write(
        _place(member, "document_seq"),
        member.document,
        _place(member, "document_bytes"),
        MEMBER_BYTES,
        document,
    )


def read_member_document(segment: Segment, member: int) -> dict[str, Any]:
    """Document of an RT process by member index; {} when there is none."""
    place = segment.member_struct(member)
    return _read(
        _place(place, "document_seq"),
        place.document,
        _place(place, "document_bytes"),
        MEMBER_BYTES,
    )


def read_primary_document(segment: Segment) -> dict[str, Any]:
    """Document of the PRIMARY; {} when there is none."""
    primary = segment.primary()
    return {} if primary is None else read_member_document(segment, primary)


def write_nonrt_document(segment: Segment, document: Mapping[str, Any]) -> None:
    """Write the Non-RT process's document; one thread at a time."""
    place = segment.struct(RegionId.NONRT_DOCUMENT)
    _write(_place(place, "seq"), place.text, _place(place, "bytes"), DOCUMENT_BYTES, document)


def read_nonrt_document(segment: Segment) -> dict[str, Any]:
    """The Non-RT process's document; {} when there is none."""
    place = segment.struct(RegionId.NONRT_DOCUMENT)
    return _read(_place(place, "seq"), place.text, _place(place, "bytes"), DOCUMENT_BYTES)


def write_admin_request(segment: Segment, content: Mapping[str, Any]) -> int:
    """Ask the main thread of the PRIMARY; returns the request's number. There is one place for
    them: while the one before is neither answered nor 0.5 s old, this waits.

    For the answer see `read_admin_answer`.
    """
    global _admin_written_s
    place = segment.struct(RegionId.ADMIN_REQUEST)
    with _ADMIN_LOCK:
        until = _admin_written_s + _ADMIN_TAKEN_S
        while time.monotonic() < until and not _answered(segment, int(place.number)):
            time.sleep(_ADMIN_PAUSE_S)
        number = int(place.number) + 1
        _write(
            _place(place, "seq"),
            place.text,
            _place(place, "bytes"),
            DOCUMENT_BYTES,
            {"number": number, "request": dict(content)},
        )
        place.number = number
        _admin_written_s = time.monotonic()
    return number


def _answered(segment: Segment, number: int) -> bool:
    """Whether nobody is there who still has to read it."""
    primary = segment.primary()
    return primary is None or admin_answered(segment, primary) >= number


def admin_requested(segment: Segment) -> int:
    """Number of the last admin request, 0 before the first."""
    return int(segment.struct(RegionId.ADMIN_REQUEST).number)


def read_admin_request(segment: Segment, after: int) -> Request | None:
    """The admin request in force when its number is above `after`, else None."""
    place = segment.struct(RegionId.ADMIN_REQUEST)
    if int(place.number) <= after:
        return None
    document = _read(_place(place, "seq"), place.text, _place(place, "bytes"), DOCUMENT_BYTES)
    number, content = document.get("number"), document.get("request")
    if not isinstance(number, int) or number <= after or not isinstance(content, dict):
        return None
    return Request(number, content)


def read_admin_answer(segment: Segment, member: int, number: int) -> dict[str, Any] | None:
    """{"number", "ok", "message"} of an RT process about that request, None before. It keeps its
    last two, in the member document under "admin".
    """
    if admin_answered(segment, member) < number:
        return None
    answers = read_member_document(segment, member).get("admin")
    for answer in answers if isinstance(answers, list) else ():
        if isinstance(answer, dict) and answer.get("number") == number:
            return answer
    return None


def admin_answered(segment: Segment, member: int) -> int:
    """Number of the last admin request that an RT process has answered."""
    return int(segment.member_struct(member).admin_reply)
