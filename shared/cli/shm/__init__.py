"""Verbs of the inspector, one module each with `register(app)`.

They only read, and work on a dead segment.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer


def make_app() -> typer.Typer:
    """The inspector's command line."""
    from shared.cli import shm
    from shared.cli.discover import register_all

    app = typer.Typer(
        name="mxrc-shm",
        help="Look into the shared-memory segment of an instance, live or dead.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
    )
    register_all(app, shm)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of `mxrc-shm`; returns the exit status."""
    from shared.cli.main import run

    app = make_app()

    @app.callback()
    def root() -> None:
        """Look into the shared-memory segment of an instance, live or dead."""

    return run(app, arguments)
