"""Settings that were changed while the processes ran: a file beside the data of the instance.

`<data_dir>/<instance>.overrides.json` holds a merge patch (RFC 7396) per configuration file. It is
laid over the files, and environment variables over it. The Non-RT process writes it, everybody
reads it; removing it takes everything back to the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.config.errors import ConfigError, Problem
from shared.config.json_file import parse_json, read_file
from shared.config.json_write import write_json

SECTIONS: Final = (
    "cpu_affinity",
    "numa_binding",
    "rt_schedule",
    "failover_policy",
    "logging",
    "tracing_config",
)


def overrides_path(data_dir: Path, instance: str) -> Path:
    """Where the overrides of an instance are."""
    return data_dir / f"{instance}.overrides.json"


def read_overrides(path: Path) -> dict[str, Any]:
    """Merge patch by file stem; {} when there is none, or its folder is closed to this user.

    Raises:
        ConfigError: it is there and cannot be used.
    """
    try:
        path.lstat()
    except OSError:
        return {}
    content = parse_json(read_file(path)[0], str(path))
    if not isinstance(content, dict) or not all(
        stem in SECTIONS and isinstance(patch, dict) for stem, patch in content.items()
    ):
        allowed = "must be an object with an object for any of " + ", ".join(SECTIONS)
        hint = "remove the file to go back to the configuration files"
        raise ConfigError([Problem(str(path), "$", "something else", allowed, hint)])
    return content


def combine(old: Any, new: Any) -> Any:
    """Two merge patches as one: `new` after `old`; null stays, it takes a field away."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {
        **old,
        **{key: combine(old[key], value) if key in old else value for key, value in new.items()},
    }


def write_overrides(path: Path, settings: Mapping[str, Any]) -> None:
    """Replace the file as a whole; raises OSError. One writer."""
    write_json(path, settings, sort_keys=True)


def covers(patch: Any, place: tuple[str | int, ...]) -> bool:
    """Whether a merge patch sets the value at `place`."""
    for part in place:
        if not isinstance(patch, Mapping):
            return True
        if part not in patch:
            return False
        patch = patch[part]
    return bool(place)
