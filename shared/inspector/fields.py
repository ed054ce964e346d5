"""Every word of a segment by name: rt_status.state, member_0.pid, counter.mxrc_rt_cycle_count,
data.KEY. Names come from the layout itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum, IntFlag
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from shared.core import MxrcError, ffi, lib, to_text
from shared.datastore import DataStore, DataStoreError
from shared.enums import (
    RegionId,
    Role,
    RtState,
    SafeCause,
    SegmentState,
    name_of,
)
from shared.metrics_def import counters
from shared.segment import Region, Segment

_ENUMERATIONS: Final[dict[tuple[str, str], type[IntEnum] | type[IntFlag]]] = {
    ("mxrc_header", "state"): SegmentState,
    ("mxrc_member", "role"): Role,
    ("mxrc_rt_status", "state"): RtState,
    ("mxrc_rt_status", "state_before"): RtState,
    ("mxrc_rt_status", "safe_cause"): SafeCause,
}
_SINGLE: Final = {
    RegionId.HEADER: "mxrc_header",
    RegionId.CLOCK: "mxrc_clock",
    RegionId.LEASE: "mxrc_lease",
    RegionId.RT_STATUS: "mxrc_rt_status",
    RegionId.RT_METRICS: "mxrc_rt_metrics",
    RegionId.NONRT_STATUS: "mxrc_nonrt_status",
    RegionId.CONTROL: "mxrc_control",
    RegionId.CURSORS: "mxrc_cursors",
    RegionId.ADMIN_REQUEST: "mxrc_document",
    RegionId.NONRT_DOCUMENT: "mxrc_document",
    RegionId.CYCLE_RING: "mxrc_ring_header",
    RegionId.COMMANDS: "mxrc_ring_header",
    RegionId.NAMES_RT: "mxrc_names",
    RegionId.NAMES_NONRT: "mxrc_names",
    RegionId.DATA_DIRECTORY: "mxrc_data_directory",
}
_ELEMENT: Final = {
    RegionId.CYCLE_RING: "mxrc_cycle_record",
    RegionId.COMMANDS: "mxrc_command",
    RegionId.STATE: "mxrc_state_block",
    RegionId.PROGRAMS: "mxrc_program_slot",
    RegionId.STAGING: "mxrc_program_slot",
    RegionId.NAMES_RT: "mxrc_name",
    RegionId.NAMES_NONRT: "mxrc_name",
    RegionId.DATA_DIRECTORY: "mxrc_data_key",
    RegionId.ENTRIES: "mxrc_entry_metrics",
    RegionId.DATA_RT: "mxrc_data_cell",
    RegionId.DATA_NONRT: "mxrc_data_cell",
}
DATA: Final = "data."
COUNTER: Final = "counter."


class UnknownField(MxrcError):
    """There is no such name; the message offers the nearest ones."""

    status = 2


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A value by name. text: as a person reads it. time_ns: when a data-store value was written."""

    name: str
    value: Any
    text: str
    type: str
    unit: str = ""
    time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class LayoutField:
    """A field of a structure; offset and bytes: where it is in the structure."""

    struct: str
    field: str
    offset: int
    bytes: int
    type: str


def struct_of(region: int) -> str | None:
    """Structure at the start of a region, None for a plain array."""
    if RegionId.MEMBER <= region < RegionId.MEMBER + lib.MXRC_MEMBERS:
        return "mxrc_member"
    if RegionId.LANE <= region < RegionId.LANE + lib.MXRC_LANES:
        return "mxrc_ring_header"
    return _SINGLE.get(RegionId(region)) if region in set(RegionId) else None


def element_of(region: int) -> str | None:
    """Structure of the array in a region, None for none."""
    if RegionId.LANE <= region < RegionId.LANE + lib.MXRC_LANES:
        return "mxrc_event"
    return _ELEMENT.get(RegionId(region)) if region in set(RegionId) else None


@cache
def layout_of(struct: str) -> tuple[LayoutField, ...]:
    """Fields of a structure in order, reserved words too."""
    return tuple(
        LayoutField(
            struct, name, int(field.offset), int(ffi.sizeof(field.type)), str(field.type.cname)
        )
        for name, field in ffi.typeof(f"struct {struct}").fields
    )


class Fields:
    """All names of a segment and their values."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._store = _data_store(segment)
        self._regions: dict[str, Region] = {
            row.name: row for row in segment.regions() if struct_of(row.id)
        }

    def names(self) -> list[str]:
        """Every name that `read` takes; arrays are one value, or [i] for an element."""
        found = [f"{DATA}{key}" for key in self._keys]
        found += [f"{COUNTER}{counter_name(row.name, row.label)}" for row in counters()]
        for name, region in self._regions.items():
            struct = struct_of(region.id) or ""
            found += [
                f"{name}.{field.field}"
                for field in layout_of(struct)
                if not field.field.startswith("reserved")
            ]
        return found

    def expand(self, pattern: str) -> list[str]:
        """The names meant by a name or a pattern with * and ?; a data-store key alone will do.

        Raises:
            UnknownField: there is none.
        """
        if pattern in self._keys:
            return [f"{DATA}{pattern}"]
        names = self.names()
        if any(sign in pattern for sign in "*?"):
            found = [name for name in names if fnmatchcase(name, pattern)]
            if found:
                return found
        elif pattern in names or "[" in pattern or self._is_path(pattern):
            return [pattern]
        near = get_close_matches(pattern, [*names, *self._keys], n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise UnknownField(
            f"the segment has no field or data-store key {pattern!r}{hint} "
            "(`mxrc shm get` without a name lists all)"
        )

    def _is_path(self, name: str) -> bool:
        return name.count(".") > 1 and name.partition(".")[0] in self._regions

    def read(self, name: str) -> FieldValue:
        """The value of a name.

        Raises:
            UnknownField
            DataStoreError: the value was being written when its writer died.
        """
        if name.startswith(DATA):
            return self._data(name)
        if name.startswith(COUNTER):
            return self._counter(name)
        return self._field(name)

    @property
    def _keys(self) -> list[str]:
        return list(self._store.keys) if self._store else []

    def _data(self, name: str) -> FieldValue:
        if self._store is None:
            raise DataStoreError("the directory of the data store is damaged: see `mxrc shm check`")
        key = self._store.key(name.removeprefix(DATA))
        stored = self._store.read(key.name)
        value: Any = list(stored.value) if isinstance(stored.value, tuple) else stored.value
        definition = key.definition
        return FieldValue(
            name, value, _text(value), definition.type, definition.unit, stored.time_ns
        )

    def _counter(self, name: str) -> FieldValue:
        wanted = name.removeprefix(COUNTER)
        metrics = self._segment.struct(RegionId.RT_METRICS)
        for row in counters():
            if counter_name(row.name, row.label) == wanted:
                value = int(metrics.counter[row.index])
                return FieldValue(name, value, str(value), "counter")
        raise UnknownField(f"there is no counter {wanted!r} in metrics.def")

    def _field(self, name: str) -> FieldValue:
        region, *path = name.replace("[", ".[").split(".")
        if region not in self._regions or not path:
            raise UnknownField(f"the segment has no field {name!r}")
        struct = struct_of(self._regions[region].id) or ""
        place = self._segment.pointer(self._regions[region].id, f"struct {struct} *")[0]
        owner, field = struct, ""
        for step in path:
            try:
                if step.startswith("["):
                    place = _element(place, step, name)
                else:
                    kind = ffi.typeof(place) if isinstance(place, ffi.CData) else None
                    owner, field = (kind.cname.removeprefix("struct ") if kind else owner), step
                    place = getattr(place, step)
            except (AttributeError, TypeError):
                raise UnknownField(f"{name!r}: there is no {step!r} in {owner}") from None
        return _described(name, place, owner.rstrip(" &*"), field)


def _data_store(segment: Segment) -> DataStore | None:
    """None when the directory is damaged: everything else can still be read."""
    try:
        return DataStore(segment)
    except ValueError:
        return None


def counter_name(name: str, label: str) -> str:
    """Name of a counter with its label, as in Prometheus text."""
    return f"{name}{{{label}}}" if label else name


def _element(place: Any, step: str, name: str) -> Any:
    digits = step.strip("[]")
    if not digits.isdigit():
        raise UnknownField(f"{name!r}: {step} is no index")
    length = len(place)
    if int(digits) >= length:
        raise UnknownField(f"{name!r}: index {digits}, there are {length} elements")
    return place[int(digits)]


def _described(name: str, place: Any, struct: str, field: str) -> FieldValue:
    enumeration = _ENUMERATIONS.get((struct, field))
    if enumeration is not None and isinstance(place, int):
        return FieldValue(name, place, name_of(enumeration, place), enumeration.__name__)  # type: ignore[arg-type]
    value = plain(place)
    unit = "ns" if field.endswith("_ns") else ""
    return FieldValue(name, value, _text(value), _type_of(struct, field), unit)


def _type_of(struct: str, field: str) -> str:
    return next((row.type for row in layout_of(struct) if row.field == field), "")


def plain(value: Any) -> Any:
    """A C value as JSON knows it: numbers, text, lists, objects; bytes as hexadecimal text."""
    if not isinstance(value, ffi.CData):
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    kind = ffi.typeof(value)
    if kind.kind == "array":
        if kind.item.cname == "char":
            return to_text(value, kind.length)
        if kind.item.cname == "uint8_t":
            return bytes(value).hex()
        return [plain(one) for one in value]
    if kind.kind == "pointer":
        kind = kind.item
    return {name: plain(getattr(value, name)) for name, _ in kind.fields}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(_text(one) for one in value)
    return str(value)


def readable(fields: Fields, names: list[str]) -> Iterator[FieldValue]:
    """Values of names; one that cannot be read is given with the reason as its text."""
    for name in names:
        try:
            yield fields.read(name)
        except DataStoreError as error:
            yield FieldValue(name, None, str(error), "unreadable")
