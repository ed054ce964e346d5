"""The objects in /dev/shm that carry the name of an instance, told from their first two pages.

Only what has its place in every layout version is looked at (see src/segment.h), with pread and not
through a map: a foreign, truncated or shrinking file can then do no harm, and a segment of another
build can still be named.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared.boot_id import boot_id
from shared.core import ffi, layout_hash, lib, to_text
from shared.enums import RegionId, SegmentState, Writer, name_of
from shared.segment import SHM_DIRECTORY, Region, process_alive

PREFIX: Final = "mxrc-"
DRAFT_SUFFIX: Final = ".new"
PAGE: Final = int(lib.MXRC_PAGE_BYTES)
HEAD_BYTES: Final = 2 * PAGE
"""Header and region table."""


@dataclass(frozen=True, slots=True)
class AttachedProcess:
    """An RT process that has a member's place; pid and start time name it beyond pid reuse."""

    member: int
    pid: int
    alive: bool


@dataclass(frozen=True, slots=True)
class HeaderFields:
    """The header, numbers as in layout.h; hashes and ids as hexadecimal text."""

    magic: str
    layout_version: int
    layout_hash: str
    segment_bytes: int
    generation: int
    created_monotonic_ns: int
    creator_pid: int
    creator_uid: int
    region_count: int
    state: str
    boot_id: str
    config_hash: str
    period_us: float
    axis_count: int
    max_members: int
    crc: str
    crc_computed: str
    instance: str
    build: str


@dataclass(frozen=True, slots=True)
class SegmentObject:
    """An object named mxrc-* in /dev/shm.

    kind: "segment" (whole, of this build), "other layout", "foreign" (no segment of mxrc),
    "corrupt", "draft" (a creator died before it gave the object its name) or "unreadable".
    problem: why it is not a segment, one line. regions: as the table says, not yet believed.
    inode: names the object itself, whatever comes to have its name later.
    """

    instance: str
    path: str
    kind: str
    problem: str
    bytes: int
    mode: str
    uid: int
    owner: str
    inode: int
    header: HeaderFields | None = None
    this_boot: bool = True
    regions: tuple[Region, ...] = ()
    attached: tuple[AttachedProcess, ...] = field(default=())

    @property
    def alive(self) -> bool:
        """Whether an RT process of it lives."""
        return self.this_boot and any(one.alive for one in self.attached)


def object_path(instance: str) -> Path:
    """File of an instance's segment."""
    return SHM_DIRECTORY / f"{PREFIX}{instance}"


def find_objects() -> list[SegmentObject]:
    """Everything in /dev/shm that is named as a segment of an instance, by name."""
    found = (examine(path) for path in sorted(SHM_DIRECTORY.glob(f"{PREFIX}*")))
    return [one for one in found if one is not None]


def examine(path: Path) -> SegmentObject | None:
    """What a file is; None when it is gone."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    name = path.name.removeprefix(PREFIX)
    draft = name.endswith(DRAFT_SUFFIX)
    common: dict[str, Any] = {
        "instance": name.removesuffix(DRAFT_SUFFIX) if draft else name,
        "path": str(path),
        "bytes": status.st_size,
        "mode": f"{status.st_mode & 0o7777:04o}",
        "uid": status.st_uid,
        "owner": user_name(status.st_uid),
        "inode": status.st_ino,
    }
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        problem = f"cannot be opened: {error.strerror}; it belongs to {common['owner']}"
        return SegmentObject(kind="unreadable", problem=problem, **common)
    try:
        return _classify(descriptor, draft, common)
    except OSError as error:
        return SegmentObject(kind="foreign", problem=f"not a file: {error.strerror}", **common)
    finally:
        os.close(descriptor)


def _classify(descriptor: int, draft: bool, common: dict[str, Any]) -> SegmentObject:
    pages = os.pread(descriptor, HEAD_BYTES, 0)
    if draft:
        problem = "a creator died, or is at work, before it named the object"
        return SegmentObject(kind="draft", problem=problem, **common)
    header = read_header(pages)
    if header is None or int(header.magic, 16) != lib.MXRC_MAGIC:
        magic = "shorter than a header" if header is None else f"magic {header.magic}"
        problem = f"not an mxrc segment: {magic}, expected 0x{int(lib.MXRC_MAGIC):016x}"
        return SegmentObject(kind="foreign", problem=problem, **common)
    regions = read_table(pages, min(header.region_count, int(lib.MXRC_REGIONS)))
    this_boot = header.boot_id == boot_id()
    kind, problem = "segment", ""
    if header.crc != header.crc_computed:
        kind = "corrupt"
        problem = f"header has CRC {header.crc}, computed {header.crc_computed}"
    elif header.segment_bytes != common["bytes"]:
        kind = "corrupt"
        problem = f"{common['bytes']} bytes, its header says {header.segment_bytes}"
    elif (
        header.layout_version != lib.MXRC_LAYOUT_VERSION
        or int(header.layout_hash, 16) != layout_hash()
    ):
        kind = "other layout"
        problem = (
            f"layout version {header.layout_version}, hash {header.layout_hash}; this mxrc has "
            f"version {int(lib.MXRC_LAYOUT_VERSION)}, hash 0x{layout_hash():016x}"
        )
    attached = _attached(descriptor, header, regions, common["bytes"]) if this_boot else ()
    return SegmentObject(
        kind=kind,
        problem=problem,
        header=header,
        this_boot=this_boot,
        regions=tuple(regions),
        attached=attached,
        **common,
    )


def read_header(pages: bytes) -> HeaderFields | None:
    """The header in the first pages of an object, None when they are too few."""
    size = ffi.sizeof("struct mxrc_header")
    if len(pages) < HEAD_BYTES:
        return None
    raw = ffi.new("struct mxrc_header *")
    ffi.memmove(raw, pages, size)
    return HeaderFields(
        magic=f"0x{int(raw.magic):016x}",
        layout_version=int(raw.layout_version),
        layout_hash=f"0x{int(raw.layout_hash):016x}",
        segment_bytes=int(raw.segment_bytes),
        generation=int(raw.generation),
        created_monotonic_ns=int(raw.created_monotonic_ns),
        creator_pid=int(raw.creator_pid),
        creator_uid=int(raw.creator_uid),
        region_count=int(raw.region_count),
        state=name_of(SegmentState, int(raw.state)),
        boot_id=bytes(raw.boot_id).hex(),
        config_hash=f"0x{int(raw.config_hash):016x}",
        period_us=int(raw.period_ns) / 1e3,
        axis_count=int(raw.axis_count),
        max_members=int(raw.max_members),
        crc=f"0x{int(raw.crc):08x}",
        crc_computed=f"0x{_header_crc(raw, pages):08x}",
        instance=to_text(raw.instance, int(lib.MXRC_TEXT_BYTES)),
        build=to_text(raw.build, int(lib.MXRC_TEXT_BYTES)),
    )


def _header_crc(header: Any, pages: bytes) -> int:
    copy = ffi.new("struct mxrc_header *", header[0])
    copy.crc = copy.state = 0
    crc = lib.mxrc_crc32c(0, copy, ffi.sizeof("struct mxrc_header"))
    table = int(lib.MXRC_REGIONS) * ffi.sizeof("struct mxrc_region_desc")
    return int(lib.mxrc_crc32c(crc, pages[PAGE : PAGE + table], table))


def read_table(pages: bytes, count: int) -> list[Region]:
    """Rows of the region table in the first pages of an object."""
    size = ffi.sizeof("struct mxrc_region_desc")
    row = ffi.new("struct mxrc_region_desc *")
    rows = []
    for index in range(count):
        ffi.memmove(row, pages[PAGE + index * size :][:size], size)
        rows.append(
            Region(
                id=int(row.id),
                name=to_text(row.name, 24),
                writer=Writer(row.writer) if row.writer <= max(Writer) else Writer.CREATOR,
                version=int(row.version),
                member=int(row.member),
                offset=int(row.offset),
                size=int(row.size),
                element_bytes=int(row.element_bytes),
                element_count=int(row.element_count),
            )
        )
    return rows


def _attached(
    descriptor: int, header: HeaderFields, regions: list[Region], size: int
) -> tuple[AttachedProcess, ...]:
    """pid and process_start have their place in every layout version."""
    last = RegionId.MEMBER + min(header.max_members, int(lib.MXRC_MEMBERS))
    found = []
    for region in regions:
        if not RegionId.MEMBER <= region.id < last or region.offset + 16 > size:
            continue
        raw = os.pread(descriptor, 16, region.offset)
        if len(raw) < 16:
            continue
        pid, start = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[8:16], "little")
        if pid:
            alive = process_alive(pid, start)
            found.append(AttachedProcess(region.id - RegionId.MEMBER, pid, alive))
    return tuple(found)


def user_name(uid: int) -> str:
    """Name of a user, "uid 1234" for one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
