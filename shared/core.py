"""The door to the C core: the only module that imports `shared._core`.

`ffi` and `lib` are cffi's; the functions are documented in cffi_build/include/mxrc/api.h.
Needs no numpy.
"""

from __future__ import annotations

import os
from typing import Any, Final

try:
    from shared._core import ffi, lib
except ImportError as error:
    raise ImportError(
        f"the C core (shared._core) is missing or does not fit: {error}; run `make build`"
    ) from error

__all__ = [
    "ERROR_BYTES",
    "MxrcError",
    "ffi",
    "from_text",
    "layout_hash",
    "lib",
    "now_ns",
    "system_error",
    "to_text",
]

ERROR_BYTES: Final = 512
"""Size of the buffers that the core writes its error lines into."""


class MxrcError(Exception):
    """An error that a person can act on: `str()` is one clear line, shown without a traceback."""


def error_buffer() -> Any:
    """A zeroed char[ERROR_BYTES] for a core function's `error` argument."""
    return ffi.new("char[]", ERROR_BYTES)


def to_text(cdata: Any, size: int | None = None) -> str:
    """A NUL-terminated or NUL-padded C string as text; bytes that are not UTF-8 are replaced."""
    raw: bytes = ffi.string(cdata) if size is None else ffi.string(cdata, size)
    return raw.decode("utf-8", "replace")


def from_text(text: str, size: int) -> bytes:
    """`text` as UTF-8 that fits a char[size] with its NUL; a character is never cut in half."""
    raw = text.encode("utf-8", "replace")
    if len(raw) < size:
        return raw
    return raw[: size - 1].decode("utf-8", "ignore").encode()


def system_error(code: int) -> str:
    """Text of an errno."""
    return os.strerror(code)


def now_ns() -> int:
    """CLOCK_MONOTONIC in ns, as the executive reads it."""
    return int(lib.mxrc_now_ns())


def layout_hash() -> int:
    """Hash of layout.h, events.def and metrics.def that this build was made from."""
    return int(lib.mxrc_layout_hash())
