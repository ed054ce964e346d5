"""The shared-memory segment of an instance: open or attach, look at its regions, detach.

Regions and who writes them: layout.h. Every pointer and view handed out here keeps the mapping
alive, so that `detach` in one thread never pulls memory away under another: the segment is unmapped
when the last of them is gone. Needs no numpy (arrays: shared.layout).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from shared.core import (
    ERROR_BYTES,
    error_buffer,
    ffi,
    from_text,
    lib,
    system_error,
    to_text,
)
from shared.enums import Access, OpenResult, RegionId, Writer
from shared.segment_errors import (
    SegmentAbsent,
    SegmentBuilding,
    SegmentBusy,
    SegmentCorrupt,
    SegmentDetached,
    SegmentError,
    SegmentForeign,
    SegmentLayoutMismatch,
    SegmentLockError,
    SegmentNoSpace,
    SegmentSystemError,
    raise_open_error,
)

__all__ = [
    "SHM_DIRECTORY",
    "Geometry",
    "Region",
    "Segment",
    "SegmentAbsent",
    "SegmentBuilding",
    "SegmentBusy",
    "SegmentCorrupt",
    "SegmentDetached",
    "SegmentError",
    "SegmentForeign",
    "SegmentLayoutMismatch",
    "SegmentLockError",
    "SegmentNoSpace",
    "SegmentSystemError",
    "instances",
    "object_name",
    "process_alive",
]

SHM_DIRECTORY: Final = Path("/dev/shm")  # noqa: S108  where Linux keeps POSIX shared memory
TEXT_BYTES: Final = int(lib.MXRC_TEXT_BYTES)

_STRUCTS: Final = {
    RegionId.HEADER: "struct mxrc_header",
    RegionId.CLOCK: "struct mxrc_clock",
    RegionId.LEASE: "struct mxrc_lease",
    RegionId.RT_STATUS: "struct mxrc_rt_status",
    RegionId.RT_METRICS: "struct mxrc_rt_metrics",
    RegionId.ENTRIES: "struct mxrc_entry_metrics",
    RegionId.NONRT_STATUS: "struct mxrc_nonrt_status",
    RegionId.CONTROL: "struct mxrc_control",
    RegionId.CURSORS: "struct mxrc_cursors",
    RegionId.ADMIN_REQUEST: "struct mxrc_document",
    RegionId.NONRT_DOCUMENT: "struct mxrc_document",
}


@dataclass(frozen=True, slots=True)
class Geometry:
    """What shapes a segment; counts of slots are powers of two. See struct mxrc_geometry."""

    instance: str
    build: str
    config_hash: int
    period_ns: int
    axis_count: int
    max_members: int
    cycle_slots: int
    event_slots: int
    command_slots: int
    staging_slots: int
    names_rt: int
    names_nonrt: int
    data_keys: int
    data_rt_cells: int
    data_nonrt_cells: int

    def to_c(self) -> Any:
        """A struct mxrc_geometry *."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        for name in ("instance", "build"):
            values[name] = from_text(values[name], TEXT_BYTES)
        return ffi.new("struct mxrc_geometry *", values)

    @property
    def bytes(self) -> int:
        """Size of the segment in bytes."""
        return int(lib.mxrc_segment_size(self.to_c()))


@dataclass(frozen=True, slots=True)
class Region:
    """A row of the segment's region table; offset and size in bytes."""

    id: int
    name: str
    writer: Writer
    version: int
    member: int
    offset: int
    size: int
    element_bytes: int
    element_count: int


def object_name(instance: str) -> str:
    """Name of the shared-memory object of an instance, with its leading slash."""
    return f"/mxrc-{instance}"


def instances() -> list[str]:
    """Names of the instances that have a segment on this machine, dead ones included."""
    return sorted(path.name.removeprefix("mxrc-") for path in SHM_DIRECTORY.glob("mxrc-*"))


class Segment:
    """An attached segment. Safe to use from several threads; each region has one writer."""

    def __init__(self, raw: Any, access: Access, created: bool = False) -> None:
        """Takes over `raw`, a struct mxrc_segment * of a successful open or attach."""
        # The destructor of this object unmaps; everything handed out holds a reference to it.
        self._raw: Any = ffi.gc(raw, lib.mxrc_segment_detach)
        self._structs: dict[int, Any] = {}
        self.access: Final = access
        self.created: Final = created
        self.damage = ""
        """What was wrong with the segment that the created one replaces."""
        self.name: Final = to_text(raw.name)
        self.generation: Final = int(raw.generation)
        self.member: Final = int(raw.member)
        self.bytes: Final = int(raw.bytes)

    @classmethod
    def open_rt(cls, geometry: Geometry, lock_path: Path) -> Segment:
        """Attach to the live generation or create one (`created`), and claim a member; RT only.

        A created segment is invisible to others until `publish`.

        Raises:
            SegmentError: one of its subclasses.
        """
        raw = ffi.new("struct mxrc_segment *")
        created = ffi.new("int *")
        error = error_buffer()
        name = object_name(geometry.instance)
        result = lib.mxrc_segment_open_rt(
            raw,
            name.encode(),
            bytes(lock_path),
            geometry.to_c(),
            created,
            error,
            ERROR_BYTES,
        )
        if result != OpenResult.OK:
            raise_open_error(result, error, name)
        opened = cls(raw, Access.RT, bool(created[0]))
        opened.damage = to_text(error)
        return opened

    @classmethod
    def attach(cls, instance: str, access: Access = Access.READ) -> Segment:
        """Attach to the segment of an instance, dead or alive; never creates one.

        Raises:
            SegmentError: one of its subclasses.
        """
        raw = ffi.new("struct mxrc_segment *")
        error = error_buffer()
        name = object_name(instance)
        result = lib.mxrc_segment_attach(raw, name.encode(), int(access), error, ERROR_BYTES)
        if result != OpenResult.OK:
            raise_open_error(result, error, name)
        return cls(raw, access)

    @property
    def raw(self) -> Any:
        """The struct mxrc_segment * for calls of the core.

        Raises:
            SegmentDetached: after `detach`.
        """
        raw = self._raw
        if raw is None:
            raise SegmentDetached(f"{self.name}: already detached")
        return raw

    @property
    def attached(self) -> bool:
        """False after `detach`."""
        return self._raw is not None

    def detach(self) -> None:
        """Let go; it is unmapped once no pointer or view of it is left. Idempotent."""
        self._raw = None
        self._structs = {}

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def publish(self) -> None:
        """Make a created segment visible: names and data directory are filled.

        Raises:
            SegmentError: the core refused.
        """
        result = lib.mxrc_segment_publish(self.raw)
        if result:
            raise SegmentSystemError(f"{self.name}: cannot be published: {system_error(result)}")

    def retire(self, lock_path: Path) -> None:
        """Mark the generation as stopped in order and unlink it: RT, at the end of a STOP.

        SegmentBusy while another live RT process is attached; nothing is done then.

        Raises:
            SegmentError: the core refused.
        """
        error = error_buffer()
        result = lib.mxrc_segment_retire(self.raw, bytes(lock_path), error, ERROR_BYTES)
        if result != OpenResult.OK:
            raise_open_error(result, error, self.name)

    def current(self) -> bool:
        """Whether the object of this name is still this generation."""
        return bool(lib.mxrc_segment_current(self.raw) == OpenResult.OK)

    def region_bytes(self, region: int) -> int:
        """Size of a region in bytes, 0 when the segment has none of that id."""
        size = ffi.new("uint64_t *")
        found = lib.mxrc_region(self.raw, int(region), size)
        return int(size[0]) if found != ffi.NULL else 0

    def pointer(self, region: int, ctype: str) -> Any:
        """A region as cdata of a pointer type; it keeps the segment mapped.

        Writing through it is for the region's writer only: elsewhere it faults.

        Raises:
            KeyError: the segment has no such region.
        """
        raw = self.raw
        found = lib.mxrc_region(raw, int(region), ffi.NULL)
        if found == ffi.NULL:
            raise KeyError(f"{self.name} has no region {region}")
        return ffi.gc(ffi.cast(ctype, found), partial(_keep_alive, raw))

    def struct(self, region: int) -> Any:
        """A region that holds a single structure, as cdata of its type; see `pointer`."""
        structs = self._structs  # before `raw`: one that was detached meanwhile keeps nothing
        self.raw  # noqa: B018 - raises when it is detached
        found = structs.get(region)
        if found is None:
            if RegionId.MEMBER <= region < RegionId.MEMBER + lib.MXRC_MEMBERS:
                found = self.pointer(region, "struct mxrc_member *")
            else:
                found = self.pointer(region, f"{_STRUCTS[RegionId(region)]} *")
            structs[region] = found
        return found

    def view(self, region: int) -> memoryview:
        """The bytes of a region; read-only unless this process may write it."""
        pointer = self.pointer(region, "uint8_t *")
        view = memoryview(ffi.buffer(pointer, self.region_bytes(region)))
        return view if self.writable(region) else view.toreadonly()

    def description(self, region: int) -> Region:
        """The row of the region table.

        Raises:
            KeyError: the segment has no such region.
        """
        row = lib.mxrc_region_description(self.raw, int(region))
        if row == ffi.NULL:
            raise KeyError(f"{self.name} has no region {region}")
        return Region(
            id=row.id,
            name=to_text(row.name),
            writer=Writer(row.writer),
            version=row.version,
            member=row.member,
            offset=row.offset,
            size=row.size,
            element_bytes=row.element_bytes,
            element_count=row.element_count,
        )

    def regions(self) -> list[Region]:
        """All regions, by offset."""
        rows = [
            self.description(region)
            for region in range(lib.MXRC_REGIONS)
            if lib.mxrc_region_description(self.raw, region) != ffi.NULL
        ]
        return sorted(rows, key=lambda row: row.offset)

    def writable(self, region: int) -> bool:
        """Whether this process maps a region writable."""
        row = self.description(region)
        if self.access == Access.NONRT:
            return row.writer == Writer.NONRT
        if self.access == Access.RT:
            own = row.writer == Writer.MEMBER and row.member == self.member
            return own or row.writer in (Writer.RT, Writer.LEASE)
        return False

    @property
    def header(self) -> Any:
        """struct mxrc_header *"""
        return self.struct(RegionId.HEADER)

    @property
    def lease(self) -> Any:
        """struct mxrc_lease *"""
        return self.struct(RegionId.LEASE)

    @property
    def rt_status(self) -> Any:
        """struct mxrc_rt_status *"""
        return self.struct(RegionId.RT_STATUS)

    @property
    def nonrt_status(self) -> Any:
        """struct mxrc_nonrt_status *"""
        return self.struct(RegionId.NONRT_STATUS)

    @property
    def control(self) -> Any:
        """struct mxrc_control *"""
        return self.struct(RegionId.CONTROL)

    @property
    def cursors(self) -> Any:
        """struct mxrc_cursors *"""
        return self.struct(RegionId.CURSORS)

    @property
    def max_members(self) -> int:
        """RT processes that may be attached at once."""
        return int(self.header.max_members)

    def member_struct(self, member: int) -> Any:
        """struct mxrc_member * of an attached RT process."""
        return self.struct(RegionId.MEMBER + member)

    def primary(self) -> int | None:
        """Index of the member that holds the lease, None before the first.

        None too where a damaged lease names a member that there is not.
        """
        member = int(self.lease.owner) & 0xFFFF
        return member - 1 if 0 < member <= self.max_members else None

    def epoch(self) -> int:
        """Epoch of the lease."""
        return int(self.lease.owner) >> 16

    def lanes(self) -> list[int]:
        """Event lanes: 2m of the RT thread of member m, 2m + 1 of its main thread."""
        return [
            lane
            for lane in range(lib.MXRC_LANES)
            if lib.mxrc_region_description(self.raw, RegionId.LANE + lane) != ffi.NULL
        ]


def _keep_alive(_raw: Any, _pointer: Any) -> None:
    """Destructor of a pointer that does nothing: being bound to `_raw` is what matters."""


def process_alive(pid: int, process_start: int) -> bool:
    """Whether that very process (pid and start time of /proc/PID/stat) still runs."""
    return bool(pid) and bool(lib.mxrc_process_alive(pid, process_start))
