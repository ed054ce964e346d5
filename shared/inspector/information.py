"""Everything that describes a segment rather than what happens in it."""

from __future__ import annotations

from dataclasses import dataclass

from shared.core import MxrcError
from shared.enums import Writer
from shared.inspector.fields import element_of, layout_of, struct_of
from shared.inspector.objects import HeaderFields, SegmentObject
from shared.inspector.postmortem import PostMortem, post_mortem
from shared.inspector.processes import ProcessStatus, processes
from shared.layout import dtype_of
from shared.ring import RingReader
from shared.segment import Region, Segment


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """A region. struct: at its start; element: of the array in it. head: of a ring, else null."""

    id: int
    name: str
    writer: str
    member: int
    version: int
    offset: int
    bytes: int
    struct: str
    element: str
    element_bytes: int
    element_count: int
    head: int | None
    tombstones: int | None


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field where it lies: offset from the start of the segment; of an array's first element."""

    region: str
    struct: str
    field: str
    offset: int
    bytes: int
    type: str


@dataclass(frozen=True, slots=True)
class Info:
    """A segment. readable: this build may look inside; else `problem` says why not, and processes,
    post_mortem and heads are empty. layout: only when it was asked for.
    """

    instance: str
    path: str
    kind: str
    problem: str
    bytes: int
    owner: str
    mode: str
    this_boot: bool
    header: HeaderFields | None
    processes: tuple[ProcessStatus, ...]
    post_mortem: PostMortem | None
    regions: tuple[RegionInfo, ...]
    layout: tuple[FieldInfo, ...]


def information(found: SegmentObject, region: str | None, with_layout: bool) -> Info:
    """All about an object; region: only that one (and its layout)."""
    segment: Segment | None = None
    problem = found.problem
    if found.kind == "segment":
        try:
            segment = Segment.attach(found.instance)
        except MxrcError as error:
            problem = str(error)
    wanted = [
        row
        for row in sorted(found.regions, key=lambda row: row.offset)
        if region in (None, row.name) and found.kind in ("segment", "other layout")
    ]
    return Info(
        instance=found.instance,
        path=found.path,
        kind=found.kind,
        problem=problem,
        bytes=found.bytes,
        owner=found.owner,
        mode=found.mode,
        this_boot=found.this_boot,
        header=found.header,
        processes=tuple(processes(segment)) if segment else (),
        post_mortem=post_mortem(segment) if segment else None,
        regions=tuple(_region(row, segment) for row in wanted),
        layout=tuple(field for row in wanted for field in _layout(row) if segment and with_layout),
    )


def _region(row: Region, segment: Segment | None) -> RegionInfo:
    head = tombstones = None
    if segment is not None and struct_of(row.id) == "mxrc_ring_header":
        try:
            ring = RingReader(segment, row.id)
            head, tombstones = ring.head, ring.tombstones
        except MxrcError:
            pass  # damaged: `check` says how
    return RegionInfo(
        id=row.id,
        name=row.name,
        writer=Writer(row.writer).name,
        member=row.member,
        version=row.version,
        offset=row.offset,
        bytes=row.size,
        struct=struct_of(row.id) or "",
        element=element_of(row.id) or "",
        element_bytes=row.element_bytes,
        element_count=row.element_count,
        head=head,
        tombstones=tombstones,
    )


def _layout(row: Region) -> list[FieldInfo]:
    fields, at = [], row.offset
    for struct in (struct_of(row.id), element_of(row.id)):
        if struct is None:
            continue
        fields += [
            FieldInfo(row.name, struct, one.field, at + one.offset, one.bytes, one.type)
            for one in layout_of(struct)
        ]
        at += dtype_of(f"struct {struct}").itemsize
    return fields
