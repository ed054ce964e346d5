"""Many messages of one shape at once: their common bytes as a template, columns in its holes.

A shape fixes every length, so that the lengths of nested messages are part of the common bytes and
filling n messages of it takes one array copy per hole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from nonrt_process.traces.otlp import varint

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint64]

MAX_VARINT: Final = 10
_STEPS: Final = [np.uint64(1 << 7 * k) for k in range(1, MAX_VARINT)]


class Hole(NamedTuple):
    """width bytes that differ from message to message: those of the column of that name."""

    column: str
    width: int


Part = bytes | Hole


def size(parts: Iterable[Part]) -> int:
    """Bytes that the parts take."""
    return sum(part.width if isinstance(part, Hole) else len(part) for part in parts)


def field(number: int, *parts: Part) -> list[Part]:
    """A length-delimited field with this content."""
    return [varint(number << 3 | 2) + varint(size(parts)), *parts]


def attribute(key: str, *value: Part) -> list[Part]:
    """An element of Span.attributes; value: the content of its AnyValue."""
    return field(9, *field(1, key.encode()), *field(2, *value))


class Template:
    """A shape. parts: what its messages consist of, in order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.size: Final = size(parts)
        common = bytearray()
        self._holes: list[tuple[str, int, int]] = []
        for part in parts:
            if isinstance(part, Hole):
                self._holes.append((part.column, len(common), len(common) + part.width))
                common += bytes(part.width)
            else:
                common += part
        self._common = np.frombuffer(bytes(common), np.uint8)

    def fill(self, columns: Mapping[str, Bytes]) -> list[bytes]:
        """The messages. columns: by name, each of shape (n, at least the width of its hole)."""
        count = len(next(iter(columns.values())))
        out = np.empty((count, self.size), np.uint8)
        out[:] = self._common
        for name, begin, end in self._holes:
            out[:, begin:end] = columns[name][:, : end - begin]
        data = out.tobytes()
        return [data[at : at + self.size] for at in range(0, len(data), self.size)]


def varint_widths(values: Numbers) -> Numbers:
    """(n,) bytes that each value takes as a varint, 1..10."""
    widths = np.ones(len(values), np.uint64)
    top = values.max(initial=np.uint64(0))
    for step in _STEPS:
        if step > top:
            break
        widths += values >= step
    return widths


def varints(values: Numbers, width: int) -> Bytes:
    """(n, width) uint8: values that all take `width` bytes as varints."""
    shifts = np.arange(0, 7 * width, 7, dtype=np.uint64)
    out: Bytes = (values[:, None] >> shifts).astype(np.uint8) | np.uint8(0x80)
    out[:, -1] &= 0x7F
    return out


def fixed64(values: Numbers) -> Bytes:
    """(n, 8) uint8: little-endian fixed64."""
    raw: Bytes = np.ascontiguousarray(values, "<u8").view(np.uint8).reshape(-1, 8)
    return raw


def groups(keys: npt.NDArray[Any]) -> dict[bytes, npt.NDArray[np.intp]]:
    """Indices of equal rows of `keys`, shape (n, k), in order: row bytes -> indices."""
    rows = np.ascontiguousarray(keys)
    found: dict[bytes, list[int]] = {}
    width = rows.dtype.itemsize * rows.shape[1]
    for index, key in enumerate(rows.view(f"V{width}").ravel().tolist()):
        found.setdefault(key, []).append(index)
    return {key: np.array(indices, np.intp) for key, indices in found.items()}
