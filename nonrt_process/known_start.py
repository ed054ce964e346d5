"""What the process before this one found out about the configuration, left in the segment for this.

To validate a configuration takes longer than everything else until the first drain, and after a
crash the files are those of before. So a running process leaves its folders in the Non-RT document
with a digest of everything they follow from. A process that finds the same digest may drain into
them while it still validates; whatever differs, it waits. Nothing else is ever done with them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shared.core import MxrcError
from shared.documents import read_nonrt_document
from shared.segment import Segment
from shared.startup import default_config_dir
from shared.version import package_version

if TYPE_CHECKING:
    from shared.config.paths import Paths

FILE: Final = "instance.json"
MAX_BYTES: Final = 1 << 20
_OTHER_VARIABLES: Final = ("HOME", "XDG_RUNTIME_DIR")


class KnownStart(NamedTuple):
    """The folders that draining needs; absolute."""

    run_dir: Path
    log_dir: Path

    @classmethod
    def of(cls, paths: Paths) -> KnownStart:
        """What the configuration says."""
        return cls(paths.run_dir, paths.log_dir)


def digest(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> str | None:
    """Of all that the folders follow from; None when the file cannot be read.

    options: as add_options (shared.startup) defines them.
    """
    folder: Path = options.config_dir or default_config_dir(environ)
    try:
        mode, content = _read(folder / FILE)
    except FileNotFoundError:
        mode, content = -1, b""
    except OSError:
        return None
    facts = [
        package_version(),
        str(Path(__file__).resolve()),
        os.getuid(),
        # Its value is another one at each start; that it is there chooses the default folders.
        "INVOCATION_ID" in environ,
        sorted(
            (name, value)
            for name, value in environ.items()
            if name.startswith("MXRC_") or name in _OTHER_VARIABLES
        ),
        sorted((name, str(value)) for name, value in vars(options).items()),
        str(folder.absolute()),
        mode,
    ]
    return hashlib.sha256(json.dumps(facts).encode() + b"\n" + content).hexdigest()


def known_start(segment: Segment, expected: str | None) -> KnownStart | None:
    """What the segment holds for exactly this digest, else None."""
    try:
        document = read_nonrt_document(segment)
    except MxrcError:
        return None
    folders: Any = document.get("folders")
    if expected is None or document.get("digest") != expected or not isinstance(folders, dict):
        return None
    found = [str(folders.get(name, "")) for name in KnownStart._fields]
    if not all(text.startswith("/") for text in found):
        return None
    return KnownStart(*map(Path, found))


def _read(path: Path) -> tuple[int, bytes]:
    # O_NONBLOCK: a FIFO must not hold up the process.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return os.fstat(descriptor).st_mode, file.read(MAX_BYTES + 1)
