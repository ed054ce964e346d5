"""Verbs are found, not listed: every module of a package that has `register(app)`."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import typer


def register_all(app: typer.Typer, package: ModuleType) -> None:
    """Let every module of `package` add its commands, in order of their names."""
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        register = getattr(module, "register", None)
        if register is not None:
            register(app)
