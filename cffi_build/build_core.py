"""cffi builder of `shared._core`: the C core as one abi3 extension module.

DECLARATIONS are read as they are; core.h is what the C compiler
includes; everything in src/ is compiled in. setup.py names `ffibuilder`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))  # an isolated build does not have the project on its path

from cffi_build.layout_hash import as_c_literal, layout_hash  # noqa: E402

INCLUDE = HERE / "include"
DECLARATIONS = tuple(
    INCLUDE / "mxrc" / name
    for name in ("layout.h", "law.h", "entry.h", "process_image.h", "api.h", "bench.h")
)
# Headers that others include by themselves have these lines, which cffi does not read.
_HEADER_LINES = re.compile(r"^#(pragma|include) .*$", re.MULTILINE)

COMPILE_ARGS = ["-std=gnu11", "-O2", "-g", "-pthread", "-fvisibility=hidden"]  # warnings: setup.py
LINK_ARGS = ["-pthread", "-Wl,-z,now"]  # no symbol is looked up by the real-time thread
LIBRARIES = ["rt", "m"]


def _relative(paths: list[Path]) -> list[str]:
    """Paths below the project's root, which setuptools wants relative to it."""
    return [str(path.relative_to(ROOT)) for path in sorted(paths)]


def make_builder() -> FFI:
    """The cffi builder; raises FileNotFoundError when a declaration file is missing."""
    builder = FFI()
    for path in DECLARATIONS:
        builder.cdef(_HEADER_LINES.sub("", path.read_text(encoding="utf-8")))
    builder.set_source(
        "shared._core",
        '#include "mxrc/core.h"',
        sources=_relative(list((HERE / "src").glob("*.c"))),
        depends=_relative([*HERE.rglob("*.h"), *HERE.rglob("*.def"), *HERE.glob("*.py")]),
        include_dirs=[str(INCLUDE.relative_to(ROOT))],
        define_macros=[("MXRC_LAYOUT_HASH", as_c_literal(layout_hash()))],
        extra_compile_args=COMPILE_ARGS,
        extra_link_args=LINK_ARGS,
        libraries=LIBRARIES,
        py_limited_api=True,
    )
    return builder


ffibuilder = make_builder()
