"""Version of this installation."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path


@cache
def package_version() -> str:
    """E.g. "0.1.0"; "unknown" in a tree that was never installed."""
    # The name of the metadata folder says it; importlib.metadata would say the same, but its
    # import takes a tenth of the time from exec to the first cycle.
    for folder in sys.path:
        try:
            names = [path.name for path in Path(folder).iterdir()]
        except OSError:
            continue
        for name in names:
            if name.startswith("mxrc-") and name.endswith(".dist-info"):
                return name[len("mxrc-") : -len(".dist-info")]
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mxrc")
    except PackageNotFoundError:
        return "unknown"
