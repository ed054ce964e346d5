"""Where the files of an instance are, whoever started it: a service, `mxrc up`, a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from shared.config.models.instance import InstanceConfig
    from shared.config.paths import Paths

Field = Literal["run_dir", "log_dir", "checkpoint_dir", "data_dir"]

UP_FOLDERS: Final[dict[Field, str]] = {
    "run_dir": "run",
    "log_dir": "log",
    "checkpoint_dir": "checkpoints",
    "data_dir": "data",
}
"""Names below ./var, or ./var/NAME, where `mxrc up` has what the configuration leaves open."""


def up_folder(instance: InstanceConfig, field: Field) -> Path:
    """Where `mxrc up`, started in this folder, has it; relative."""
    return Path("var", instance.instance or "", UP_FOLDERS[field])


def find_folder(instance: InstanceConfig, paths: Paths, field: Field) -> Path:
    """The folder that is configured; else the one in use; else the default.

    In use is what the Non-RT process said in the segment, and after the end of the segment what
    `mxrc up` left in this folder.
    """
    default: Path = getattr(paths, field)
    if getattr(instance, field) is not None:
        return default
    said = _said(instance.name).get(field)
    if isinstance(said, str) and said.startswith("/"):
        return Path(said)
    here = up_folder(instance, field)
    return here if here.is_dir() and not default.is_dir() else default


def _said(instance: str) -> dict[str, Any]:
    from shared.core import MxrcError
    from shared.documents import read_nonrt_document
    from shared.segment import Segment

    try:
        with Segment.attach(instance) as segment:
            folders = read_nonrt_document(segment).get("folders")
    except MxrcError:
        return {}
    return folders if isinstance(folders, dict) else {}
