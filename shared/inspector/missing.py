"""Packages that only some verbs need."""

from __future__ import annotations

import importlib
from types import ModuleType

from shared.core import MxrcError


class PackageMissing(MxrcError):
    """A package that is not part of the plain installation; the message says how to get it."""


def require(module: str, package: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Raises:
        PackageMissing: one line with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise PackageMissing(
            f"the package {package} is missing: pip install 'mxrc[{extra}]'"
        ) from None
