"""numpy dtypes of the records in the segment, derived from the offsets that cffi computed.

char[n] becomes S<n> (numpy strips the NUL padding), uint8_t[n] a sub-array of shape (n,), a nested
structure a nested dtype. Importing this module imports numpy; the RT process does not.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.core import ffi, lib
from shared.enums import RegionId
from shared.segment import Segment

_PRIMITIVES: Final = {
    "int8_t": "i1",
    "int16_t": "<i2",
    "int32_t": "<i4",
    "int64_t": "<i8",
    "uint8_t": "u1",
    "uint16_t": "<u2",
    "uint32_t": "<u4",
    "uint64_t": "<u8",
    "int": "<i4",
    "float": "<f4",
    "double": "<f8",
    "char": "S1",
}

Records = npt.NDArray[np.void]
"""A one-dimensional structured array."""


def _field(ctype: Any) -> Any:
    """dtype, or (dtype, shape), of a field of this C type."""
    if ctype.kind == "primitive":
        return np.dtype(_PRIMITIVES[ctype.cname])
    if ctype.kind == "array":
        if ctype.item.cname == "char":
            return np.dtype(f"S{ctype.length}")
        return (_field(ctype.item), (ctype.length,))
    if ctype.kind == "struct":
        return dtype_of(ctype.cname)
    raise TypeError(f"no dtype for {ctype.cname}")


@cache
def dtype_of(struct: str) -> np.dtype[np.void]:
    """dtype of a C structure, e.g. "struct mxrc_cycle_record"; itemsize is C's sizeof.

    Raises:
        ffi.error: there is no such structure.
    """
    ctype = ffi.typeof(struct)
    fields = ctype.fields
    return np.dtype(
        {
            "names": [name for name, _ in fields],
            "formats": [_field(field.type) for _, field in fields],
            "offsets": [field.offset for _, field in fields],
            "itemsize": ffi.sizeof(ctype),
        }
    )


CYCLE_DTYPE: Final = dtype_of("struct mxrc_cycle_record")
EVENT_DTYPE: Final = dtype_of("struct mxrc_event")
COMMAND_DTYPE: Final = dtype_of("struct mxrc_command")
ANCHOR_DTYPE: Final = dtype_of("struct mxrc_anchor")
HISTOGRAM_DTYPE: Final = dtype_of("struct mxrc_histogram")
METRICS_DTYPE: Final = dtype_of("struct mxrc_rt_metrics")

AXES: Final = int(lib.MXRC_AXES)
LANES: Final = int(lib.MXRC_LANES)


def ring_dtype(region: int) -> np.dtype[np.void]:
    """dtype of the records in a ring region.

    Raises:
        ValueError: the region is not a ring.
    """
    if region == RegionId.CYCLE_RING:
        return CYCLE_DTYPE
    if region == RegionId.COMMANDS:
        return COMMAND_DTYPE
    if RegionId.LANE <= region < RegionId.LANE + LANES:
        return EVENT_DTYPE
    raise ValueError(f"region {region} is not a ring")


def struct_view(
    segment: Segment, region: int, struct: str, offset: int = 0, count: int = 1
) -> Records:
    """Live view of `count` structures in a region, shape (count,).

    What it shows changes under the reader's hands: copy what has to be consistent. It keeps the
    segment mapped. Read-only unless this process may write the region.
    """
    view = segment.view(region)
    return np.frombuffer(view, dtype=dtype_of(struct), count=count, offset=offset)
