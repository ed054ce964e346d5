"""The data store: named, typed values in shared memory. Needs no numpy.

The directory (names, types, limits, writers) is written by the creator of the segment from
datastore.json and describes the values on its own. Each value has a cell under a sequence word with
one writer.

Values as bytes: bool uint8_t 0 or 1, int64 int64_t, double and double[N] double, string UTF-8
without NUL.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from shared.config.models.datastore import (
    MAX_STRING_BYTES,
    DataStoreConfig,
    DataStoreKey,
    Value,
)
from shared.core import MxrcError, ffi, from_text, lib, now_ns, system_error, to_text
from shared.enums import Access, DataType, RegionId, Writer
from shared.segment import Segment

VALUE_BYTES: Final = int(lib.MXRC_DATA_BYTES)
NAME_BYTES: Final = int(ffi.typeof("struct mxrc_data_key").fields[0][1].type.length)
UNIT_BYTES: Final = int(ffi.typeof("struct mxrc_data_key").fields[1][1].type.length)

_TYPES: Final = {
    "bool": DataType.BOOL,
    "int64": DataType.INT64,
    "double": DataType.DOUBLE,
    "string": DataType.STRING,
}


class DataStoreError(MxrcError):
    """Base of the errors below."""


class UnknownKey(DataStoreError):
    """The data store has no key of that name."""


class NotWriter(DataStoreError):
    """The key is written by the other side."""


class ValueRefused(DataStoreError):
    """The value is of another type or beyond the limits."""


class Stored(NamedTuple):
    """A value and when it was written (CLOCK_MONOTONIC, ns)."""

    value: Value
    time_ns: int


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the directory. handle: its index. definition: as in datastore.json, but default.

    cell: its index among the cells of the side that writes it.
    """

    handle: int
    type: DataType
    definition: DataStoreKey
    cell: int = 0

    @property
    def name(self) -> str:
        return self.definition.name


def cell_counts(config: DataStoreConfig) -> tuple[int, int]:
    """Cells that the keys need: written by RT, written by Non-RT."""
    rt = sum(key.writer == "rt" for key in config.keys)
    return rt, len(config.keys) - rt


def data_type(key: DataStoreKey) -> DataType:
    """Type of a key in the segment."""
    return _TYPES.get(key.type, DataType.DOUBLE_ARRAY)


def encode(kind: DataType, value: Any) -> bytes:
    """A value that its key accepts as the bytes in its cell."""
    if kind == DataType.BOOL:
        return bytes([bool(value)])
    if kind == DataType.INT64:
        return struct.pack("<q", value)
    if kind == DataType.DOUBLE:
        return struct.pack("<d", value)
    if kind == DataType.DOUBLE_ARRAY:
        return struct.pack(f"<{len(value)}d", *value)
    return str(value).encode()


def decode(kind: DataType, raw: bytes) -> Value:
    """The reverse of `encode`; no bytes are the zero of the type."""
    if kind == DataType.BOOL:
        return bool(raw and raw[0])
    if kind == DataType.INT64:
        return int.from_bytes(raw[:8], "little", signed=True)
    if kind == DataType.DOUBLE:
        return float(struct.unpack("<d", raw[:8])[0]) if raw else 0.0
    if kind == DataType.DOUBLE_ARRAY:
        return tuple(struct.unpack(f"<{len(raw) // 8}d", raw))
    return raw.decode("utf-8", "replace")


def fill_directory(segment: Segment, config: DataStoreConfig) -> None:
    """Write directory and initial values of a created segment, before it is published."""
    directory = segment.pointer(RegionId.DATA_DIRECTORY, "struct mxrc_data_directory *")
    rows = ffi.cast("struct mxrc_data_key *", directory + 1)
    cells = {"rt": 0, "nonrt": 0}
    for handle, key in enumerate(config.keys):
        row = rows[handle]
        row.name = from_text(key.name, NAME_BYTES)
        row.unit = from_text(key.unit, UNIT_BYTES)
        row.type = int(data_type(key))
        row.length = MAX_STRING_BYTES if key.type == "string" else key.elements
        row.writer = int(Writer.RT if key.writer == "rt" else Writer.NONRT)
        row.flags = int(lib.MXRC_DATA_CRITICAL) if key.critical else 0
        row.cell = cells[key.writer]
        row.minimum = float("-inf") if key.min is None else key.min
        row.maximum = float("inf") if key.max is None else key.max
        cells[key.writer] += 1
    directory.count = len(config.keys)
    for handle, key in enumerate(config.keys):
        _write(segment.raw, handle, encode(data_type(key), key.initial))


def restore_values(segment: Segment, values: Mapping[str, Any]) -> list[str]:
    """Write values of a checkpoint into a created segment, before it is published.

    values: name -> {"type", "value", "writer"}. Returns a line for each that was not taken: the key
    is gone, is another one now, or does not allow the value.
    """
    lines = []
    keys = DataStore(segment).keys
    for name, stored in values.items():
        key = keys.get(name)
        if key is None or not isinstance(stored, dict):
            lines.append(f"{name!r}: datastore.json has no such key")
        elif stored.get("type") != key.definition.type:
            lines.append(f"{name}: is {key.definition.type} now, not {stored.get('type')!r:.40}")
        else:
            value = stored.get("value")
            refusal = key.definition.refusal(value)
            if refusal is None:
                _write(segment.raw, key.handle, encode(key.type, value))
            else:
                lines.append(f"{name}: found {value!r:.100}: {refusal}")
    return lines


def _write(raw: Any, handle: int, value: bytes) -> None:
    result = lib.mxrc_data_write(raw, handle, value, len(value), now_ns())
    if result:
        raise DataStoreError(f"the value could not be written: {system_error(result)}")


class DataStore:
    """The data store of one generation. Any thread may read, one at a time write."""

    def __init__(self, segment: Segment) -> None:
        self._raw = segment.raw
        self._name = segment.name
        self._writer = {Access.RT: "rt", Access.NONRT: "nonrt"}.get(segment.access)
        directory = segment.pointer(RegionId.DATA_DIRECTORY, "struct mxrc_data_directory *")
        rows = ffi.cast("struct mxrc_data_key *", directory + 1)
        self.keys: Final = {
            key.name: key for key in (_key(rows[at], at) for at in range(int(directory.count)))
        }

    def key(self, name: str) -> Key:
        """Raises UnknownKey."""
        key = self.keys.get(name)
        if key is None:
            raise UnknownKey(
                f"the data store has no key {name!r}; keys are defined in datastore.json"
            )
        return key

    def read(self, name: str) -> Stored:
        """The value of a key.

        Raises:
            UnknownKey
            DataStoreError: its writer died in the middle of a write.
        """
        key = self.key(name)
        out = ffi.new("uint8_t[]", VALUE_BYTES)
        size = ffi.new("uint32_t *", VALUE_BYTES)
        time_ns = ffi.new("uint64_t *")
        result = lib.mxrc_data_read(self._raw, key.handle, out, size, time_ns)
        if result:
            raise DataStoreError(f"{name} cannot be read: {system_error(result)}")
        raw = bytes(ffi.buffer(out, min(int(size[0]), VALUE_BYTES)))
        return Stored(decode(key.type, raw), int(time_ns[0]))

    def write(self, name: str, value: Any) -> None:
        """Write a value; it is checked as datastore.json says.

        Raises:
            UnknownKey, NotWriter
            ValueRefused: "must be ...".
        """
        key = self.key(name)
        if key.definition.writer != self._writer:
            owner = (
                "the RT process (tasks)" if key.definition.writer == "rt" else "Non-RT (the API)"
            )
            raise NotWriter(f"{name} is written by {owner} only")
        refusal = key.definition.refusal(value)
        if refusal is not None:
            raise ValueRefused(f"{name}: found {value!r:.100}: {refusal}")
        _write(self._raw, key.handle, encode(key.type, value))

    def snapshot(self, *, critical_only: bool = False) -> dict[str, Value]:
        """Value of every key by name, each consistent in itself; unreadable ones are left out."""
        values: dict[str, Value] = {}
        for key in self.keys.values():
            if critical_only and not key.definition.critical:
                continue
            try:
                values[key.name] = self.read(key.name).value
            except DataStoreError:
                continue
        return values


def _key(row: Any, handle: int) -> Key:
    kind = DataType(row.type)
    number = kind in (DataType.INT64, DataType.DOUBLE, DataType.DOUBLE_ARRAY)
    length = int(row.length)
    text = f"double[{length}]" if kind == DataType.DOUBLE_ARRAY else kind.name.lower()
    # The segment was checked when it was written; nothing is gained by validating it again.
    definition = DataStoreKey.model_construct(
        name=to_text(row.name),
        type=text,
        unit=to_text(row.unit),
        default=None,
        writer="rt" if row.writer == Writer.RT else "nonrt",
        critical=bool(row.flags & lib.MXRC_DATA_CRITICAL),
        min=_bound(row.minimum, kind) if number else None,
        max=_bound(row.maximum, kind) if number else None,
    )
    return Key(handle, kind, definition, int(row.cell))


def _bound(value: float, kind: DataType) -> int | float | None:
    if abs(value) == float("inf"):
        return None
    return int(value) if kind == DataType.INT64 and value == int(value) else value
