"""Frames of the spool: length, CRC, bytes.

<length u32> <crc32 u32> <spans u32> <mark length u32> <mark> <body>, little-endian. length: of mark
and body; the CRC is over everything behind it. body: an ExportTraceServiceRequest (empty: the
frame carries a mark only). A file that was cut off within a frame ends before it.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Final, NamedTuple

HEADER: Final = struct.Struct("<IIII")
_BEHIND_CRC: Final = struct.Struct("<II")
MAX_BYTES: Final = 64 << 20


class Frame(NamedTuple):
    """A frame that was read. end: where the next one begins."""

    spans: int
    mark: bytes
    body: bytes
    end: int


def pack(body: bytes, spans: int, mark: bytes) -> bytes:
    """A frame as it is written."""
    rest = _BEHIND_CRC.pack(spans, len(mark)) + mark
    crc = zlib.crc32(body, zlib.crc32(rest))
    return struct.pack("<II", len(mark) + len(body), crc) + rest + body


def read(descriptor: int, offset: int) -> Frame | None:
    """The frame at `offset`; None: there is no whole one. Raises OSError."""
    header = os.pread(descriptor, HEADER.size, offset)
    if len(header) < HEADER.size:
        return None
    length, crc, spans, mark_bytes = HEADER.unpack(header)
    if length > MAX_BYTES or mark_bytes > length:
        return None
    content = os.pread(descriptor, length, offset + HEADER.size)
    if len(content) < length or zlib.crc32(content, zlib.crc32(header[8:])) != crc:
        return None
    end = offset + HEADER.size + length
    return Frame(spans, content[:mark_bytes], content[mark_bytes:], end)
