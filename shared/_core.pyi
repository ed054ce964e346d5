"""The extension module that cffi_build/build_core.py makes (declarations: layout.h, api.h)."""

from typing import Any

ffi: Any
lib: Any
