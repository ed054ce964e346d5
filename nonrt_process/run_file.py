"""A small JSON file in run_dir: whole or not at all, so that a reader never sees half of it.

Not made durable: what is in there means nothing after a boot (what has to last: write_json of
shared.config.json_write).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_MODE: Final = 0o640


def write_run_file(path: Path, document: Mapping[str, Any]) -> None:
    """Replace the file; raises OSError. One writer."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, flags, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), _MODE)
        file.write(json.dumps(document, indent=2) + "\n")
    temporary.replace(path)
