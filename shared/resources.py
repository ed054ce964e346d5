"""Where the files are that come with mxrc: shipped configuration and tables of the C core.

In a source tree or an editable installation they are read in place; a wheel carries copies below
shared/data under the same relative paths (setup.py puts them there).
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_DATA = _PACKAGE / "data"


def resource_path(relative: str) -> Path:
    """The file or folder that has this path in the source tree, e.g. "config" or "config/api.json".

    Raises:
        FileNotFoundError: neither the installation nor the source tree has it.
    """
    for root in (_DATA, _PACKAGE.parent):
        path = root / relative
        if path.exists():
            return path
    raise FileNotFoundError(f"{relative} is not part of this mxrc installation ({_PACKAGE})")


def is_installed(path: Path) -> bool:
    """Whether the file lies in an installation, beside the code that reads it."""
    return _DATA in path.resolve().parents
