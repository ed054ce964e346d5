"""Columns of a batch as JSON text, and lines from columns: work is done per column, not per line.

A part of a line is a constant (bytes) or a column (a list of bytes, one for each line). A line
costs one join over its columns, whatever the number of its fields. Everything is UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Final, Union

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.events import format_value

Part = Union[bytes, list[bytes]]  # noqa: UP007  an alias is evaluated, by Python 3.10, too

_EXACT: Final = 1e9
"""Below it, three decimals of a double are exact enough to be rounded by multiplication."""


def lines(parts: Sequence[Part], count: int) -> list[bytes]:
    """`count` lines: the parts side by side."""
    columns: list[Iterable[bytes]] = []
    constant = b""
    for part in parts:
        if isinstance(part, bytes):
            constant += part
        else:
            columns += [repeat(constant, count), part]
            constant = b""
    # Three times as fast as a template and `%`: the length of a line is known before it is made.
    return list(map(b"".join, zip(*columns, repeat(constant, count), strict=True)))


def mapped(column: NDArray[Any], render: Callable[[Any], bytes]) -> Part:
    """`render` of each value, called once for each that is different."""
    if (column == column[0]).all():
        return render(column[0].item())
    values, places = np.unique(column, return_inverse=True)
    texts = [render(value) for value in values.tolist()]
    return [texts[place] for place in places.tolist()]


def integers(column: NDArray[Any]) -> Part:
    """Integers of any kind as JSON numbers."""
    if (column == column[0]).all():
        return b"%d" % int(column[0])
    return _split(column)


def numbers(column: NDArray[np.float64]) -> list[bytes]:
    """Finite doubles as JSON numbers: up to six decimals, integers without a point."""
    near = np.abs(column) < _EXACT
    rounded = np.where(near, np.round(np.where(near, column, 0.0), 6), column) + 0.0
    return _split(rounded)


def number_texts(column: NDArray[np.float64]) -> list[bytes]:
    """Doubles as a person reads them: see shared.events.format_value."""
    magnitude = np.abs(column)
    odd = ~((magnitude < _EXACT) & ((magnitude >= 1e-3) | (magnitude == 0)))  # NaN is odd
    texts = _split(np.round(np.where(odd, 0.0, column), 3) + 0.0)
    for index in np.flatnonzero(odd).tolist():
        texts[index] = format_value(float(column[index]), "").encode()
    return texts


def hexadecimal(raw: NDArray[np.uint8]) -> list[bytes]:
    """Shape (n, bytes): the bytes of each row as lower-case hexadecimal digits."""
    digits = np.ascontiguousarray(raw).tobytes().hex().encode()
    return _texts(np.frombuffer(digits, f"S{2 * raw.shape[1]}"))


def timestamps(realtime_ns: NDArray[np.uint64]) -> list[bytes]:
    """RFC 3339 in UTC with microseconds, of nanoseconds since 1970."""
    micros = (realtime_ns // np.uint64(1000)).astype("M8[us]")
    seconds = micros.astype("M8[s]")
    shown, places = np.unique(seconds, return_inverse=True)
    heads = np.datetime_as_string(shown).astype("S19")  # 64 bits of nanoseconds: years below 2555
    rest = (micros - seconds).astype(np.int64)
    width = heads.dtype.itemsize
    out = np.empty((len(rest), width + 8), np.uint8)
    out[:, :width] = heads.view(np.uint8).reshape(len(heads), width)[places]
    out[:, width] = ord(".")
    out[:, -1] = ord("Z")
    for place in range(width + 6, width, -1):
        rest, digit = np.divmod(rest, 10)
        out[:, place] = digit + ord("0")
    return _texts(out.view(f"S{width + 8}")[:, 0])


def _texts(column: NDArray[np.bytes_]) -> list[bytes]:
    found: list[bytes] = column.tolist()
    return found


def _split(column: NDArray[Any]) -> list[bytes]:
    raw = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    return (raw[1:-1] + b",").replace(b".0,", b",")[:-1].split(b",")
