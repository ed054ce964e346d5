"""Columns of a batch as JSON text, and lines from columns: work is done per column, not per line.

A part of a line is a constant (str) or a column (list of str, one for each line). A line costs one
`%` over its columns, whatever the number of its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Union

import numpy as np
import orjson
from numpy.typing import NDArray

from shared.events import format_value

Part = Union[str, list[str]]  # noqa: UP007  an alias is evaluated, by Python 3.10, too

_EXACT: Final = 1e9
"""Below it, three decimals of a double are exact enough to be rounded by multiplication."""


def lines(parts: Sequence[Part], count: int) -> list[str]:
    """`count` lines: the parts side by side."""
    pieces: list[str] = []
    columns: list[list[str]] = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(part.replace("%", "%%"))
        else:
            pieces.append("%s")
            columns.append(part)
    template = "".join(pieces)
    if not columns:
        return [template % ()] * count
    return list(map(template.__mod__, zip(*columns, strict=True)))


def mapped(column: NDArray[Any], render: Callable[[Any], str]) -> Part:
    """`render` of each value, called once for each that is different."""
    first = column[:1].tolist()[0]
    if (column == column[0]).all():
        return render(first)
    values, places = np.unique(column, return_inverse=True)
    texts = [render(value) for value in values.tolist()]
    return [texts[place] for place in places.tolist()]


def integers(column: NDArray[Any]) -> Part:
    """Integers of any kind as JSON numbers."""
    if (column == column[0]).all():
        return str(int(column[0]))
    return _split(column)


def numbers(column: NDArray[np.float64]) -> list[str]:
    """Finite doubles as JSON numbers: up to six decimals, integers without a point."""
    near = np.abs(column) < _EXACT
    rounded = np.where(near, np.round(np.where(near, column, 0.0), 6), column) + 0.0
    return _split(rounded)


def number_texts(column: NDArray[np.float64]) -> list[str]:
    """Doubles as a person reads them: see shared.events.format_value."""
    magnitude = np.abs(column)
    odd = ~((magnitude < _EXACT) & ((magnitude >= 1e-3) | (magnitude == 0)))  # NaN is odd
    texts = _split(np.round(np.where(odd, 0.0, column), 3) + 0.0)
    for index in np.flatnonzero(odd).tolist():
        texts[index] = format_value(float(column[index]), "")
    return texts


def hexadecimal(raw: NDArray[np.uint8]) -> list[str]:
    """Shape (n, bytes): the bytes of each row as lower-case hexadecimal digits."""
    digits, width = np.ascontiguousarray(raw).tobytes().hex(), 2 * raw.shape[1]
    return [digits[at : at + width] for at in range(0, len(digits), width)]


def timestamps(realtime_ns: NDArray[np.uint64]) -> list[str]:
    """RFC 3339 in UTC with microseconds of nanoseconds since 1970."""
    seconds, rest = np.divmod(realtime_ns, np.uint64(1_000_000_000))
    shown, places = np.unique(seconds, return_inverse=True)
    heads = np.datetime_as_string(shown.astype("M8[s]")).tolist()
    # A digit in front keeps the leading zeros.
    micros = _split(rest // np.uint64(1000) + np.uint64(1_000_000))
    if len(heads) == 1:
        head = heads[0]
        return [f"{head}.{one[1:]}Z" for one in micros]
    return [
        f"{heads[place]}.{one[1:]}Z" for place, one in zip(places.tolist(), micros, strict=True)
    ]


def _split(column: NDArray[Any]) -> list[str]:
    raw = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    text = raw[1:-1].decode() + ","
    return text.replace(".0,", ",")[:-1].split(",")
