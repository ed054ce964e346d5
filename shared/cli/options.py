"""Options that verbs share, and the configuration that they mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from shared.config import Config

ConfigDir = Annotated[
    Optional[Path],  # noqa: UP045  typer evaluates it, and so does Python 3.10
    typer.Option(
        "--config-dir",
        metavar="DIR",
        help="Folder of the configuration (default: $MXRC_CONFIG_DIR, /etc/mxrc, or mxrc's own).",
    ),
]
Instance = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--instance", metavar="NAME", help="Name of the instance (default: configured)."),
]
Json = Annotated[bool, typer.Option("--json", help="Machine output: JSON on stdout.")]


def load(config_dir: Path | None, instance: str | None) -> Config:
    """The configuration; raises ConfigError."""
    from shared.config import load_config
    from shared.startup import default_config_dir, with_instance

    return load_config(
        config_dir or default_config_dir(),
        environ=with_instance(os.environ, instance),
        check_machine=False,
    )


def instance_name(config_dir: Path | None, instance: str | None) -> str:
    """Name of the instance that is meant, without reading files when it is given."""
    if instance is not None:
        return instance
    return load(config_dir, None).instance_name
