"""`mxrc shm`: the inspector of the shared-memory segment (also `mxrc-shm`)."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add `shm` with the verbs of shared/cli/shm."""
    from shared.cli.shm import make_app

    app.add_typer(make_app(), name="shm")
