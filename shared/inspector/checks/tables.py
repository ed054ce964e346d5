"""Names, data store, documents and clock anchors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from shared.core import ffi, lib, now_ns, to_text
from shared.documents import DOCUMENT_BYTES, MEMBER_BYTES
from shared.enums import DataType, NameKind, RegionId, Writer
from shared.inspector.checks.finding import BAD, GOOD, NOTE, Finding
from shared.inspector.processes import this_boot
from shared.layout import ANCHOR_DTYPE
from shared.segment import Segment

_TRIES: Final = 16


def check_tables(segment: Segment, alive: bool) -> Iterator[Finding]:
    """Findings on everything that is written once, or seldom."""
    yield from _names(segment, RegionId.NAMES_RT, "names_rt", int(lib.MXRC_NAME_RT_BIT))
    yield from _names(segment, RegionId.NAMES_NONRT, "names_nonrt", 0)
    yield from _data(segment, alive)
    yield from _documents(segment, alive)
    yield from _anchors(segment)


def _names(segment: Segment, region: int, name: str, bit: int) -> Iterator[Finding]:
    table = segment.pointer(region, "struct mxrc_names *")
    row = segment.description(region)
    count, capacity = int(table.count), int(table.capacity)
    if capacity > row.element_count or count > capacity:
        text = f"{count} names in a table for {capacity}, the region has room for "
        yield Finding(f"{name} header", "count", BAD, f"{text}{row.element_count}")
        return
    names = ffi.cast("struct mxrc_name *", table + 1)
    bad = 0
    for at in range(count):
        entry = names[at]
        problem = ""
        if int(entry.id) != (at + 1) | bit:
            problem = f"id {int(entry.id)}, expected {(at + 1) | bit}"
        elif int(entry.kind) not in set(NameKind):
            problem = f"kind {int(entry.kind)}"
        elif len(to_text(entry.text, int(lib.MXRC_NAME_BYTES)).encode()) != int(entry.bytes):
            problem = "its length is not that of its text"
        if problem:
            bad += 1
            yield Finding(f"{name} entry {at}", "name", BAD, problem)
    if not bad:
        yield Finding(name, "names", GOOD, f"{count} of {capacity}")


def _data(segment: Segment, alive: bool) -> Iterator[Finding]:
    directory = segment.pointer(RegionId.DATA_DIRECTORY, "struct mxrc_data_directory *")
    room = segment.description(RegionId.DATA_DIRECTORY).element_count
    count = int(directory.count)
    if count > room:
        yield Finding("data_directory", "count", BAD, f"{count} keys, there is room for {room}")
        return
    keys = ffi.cast("struct mxrc_data_key *", directory + 1)
    bad = 0
    for at in range(count):
        for finding in _key(segment, keys[at], at, alive):
            bad += finding.verdict == BAD
            yield finding
    if not bad:
        yield Finding("data_directory", "keys", GOOD, f"{count}")


def _key(segment: Segment, key: Any, at: int, alive: bool) -> Iterator[Finding]:
    name = to_text(key.name, 48)
    place = f"data_directory key {at} ({name})"
    if int(key.type) not in set(DataType):
        yield Finding(place, "type", BAD, f"{int(key.type)}")
        return
    regions = {int(Writer.RT): RegionId.DATA_RT, int(Writer.NONRT): RegionId.DATA_NONRT}
    region = regions.get(int(key.writer))
    if region is None:
        yield Finding(place, "writer", BAD, f"{int(key.writer)}")
        return
    if key.cell >= segment.description(region).element_count:
        yield Finding(place, "cell", BAD, f"{int(key.cell)} is beyond {region.name.lower()}")
        return
    cell = segment.pointer(region, "struct mxrc_data_cell *")[int(key.cell)]
    place = f"{region.name.lower()} cell {int(key.cell)} ({name})"
    if _odd(cell):
        yield Finding(place, "sequence word", NOTE if alive else BAD, _unfinished(alive))
    elif cell.bytes > lib.MXRC_DATA_BYTES:
        yield Finding(place, "size", BAD, f"{int(cell.bytes)} bytes")


def _odd(place: Any, field: str = "seq") -> bool:
    return all(int(getattr(place, field)) & 1 for _ in range(_TRIES))


def _unfinished(alive: bool) -> str:
    return "was written at every look" if alive else "odd: its writer died in the middle of a write"


def _documents(segment: Segment, alive: bool) -> Iterator[Finding]:
    places = [
        (f"member_{at}.document", member, "document_seq", "document_bytes", member.document)
        for at in range(segment.max_members)
        for member in [segment.member_struct(at)]
    ]
    for region in (RegionId.NONRT_DOCUMENT, RegionId.ADMIN_REQUEST):
        document = segment.struct(region)
        places.append((region.name.lower(), document, "seq", "bytes", document.text))
    for name, struct, seq, size, text in places:
        capacity = MEMBER_BYTES if name.startswith("member") else DOCUMENT_BYTES
        yield _document(name, struct, seq, size, text, capacity, alive)


def _document(
    name: str, struct: Any, seq: str, size: str, text: Any, capacity: int, alive: bool
) -> Finding:
    for _ in range(_TRIES):
        before, length = int(getattr(struct, seq)), int(getattr(struct, size))
        raw = bytes(ffi.buffer(text))[: min(length, capacity)]
        if before & 1 or int(getattr(struct, seq)) != before:
            continue
        if length > capacity:
            return Finding(name, "size", BAD, f"{length} bytes, there is room for {capacity}")
        try:
            json.loads(raw or b"{}")
        except ValueError as error:
            return Finding(name, "JSON", BAD, f"{error}")
        return Finding(name, "JSON", GOOD, f"{length} bytes")
    return Finding(name, "sequence word", NOTE if alive else BAD, _unfinished(alive))


def _anchors(segment: Segment) -> Iterator[Finding]:
    clock = segment.struct(RegionId.CLOCK)
    count = int(clock.count)
    ring = np.frombuffer(segment.view(RegionId.CLOCK), ANCHOR_DTYPE, lib.MXRC_ANCHORS, 64).copy()
    kept = min(count, len(ring) - 2)
    if count > 1 << 40:
        yield Finding("clock", "count", BAD, f"{count} anchors")
        return
    order = np.arange(count - kept, count) % len(ring)
    times = ring["monotonic_ns"][order]
    if (times[1:] < times[:-1]).any():
        at = int(order[1:][times[1:] < times[:-1]][0])
        yield Finding(f"clock anchor {at}", "order", BAD, "is older than the one before it")
    elif kept and this_boot(segment) and int(times[-1]) > now_ns() + 1_000_000_000:
        yield Finding(f"clock anchor {int(order[-1])}", "time", BAD, "lies in the future")
    elif kept and not ring["realtime_ns"][order].all():
        yield Finding("clock", "anchors", BAD, "an anchor has no wall-clock time")
    else:
        yield Finding("clock", "anchors", GOOD, f"{count}")
