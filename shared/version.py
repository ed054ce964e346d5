"""Version of this installation."""

from __future__ import annotations

from functools import cache


@cache
def package_version() -> str:
    """E.g. "0.1.0"; "unknown" in a tree that was never installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mxrc")
    except PackageNotFoundError:
        return "unknown"
