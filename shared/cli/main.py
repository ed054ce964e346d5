"""Entry of `mxrc`: finds the verbs and turns errors into one line and an exit status.

Exit statuses: 0 done, 1 refused or failed, 2 usage, 69 nothing answers, 78 configuration,
130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from shared.cli import verbs
from shared.cli.discover import register_all
from shared.version import package_version

EX_FAILED = 1


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mxrc {package_version()}")
        raise typer.Exit


def make_app() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="mxrc",
        help="Robot-control runtime: start it, watch it, drive it.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def root(
        version: Annotated[
            bool,
            typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
        ] = False,
    ) -> None:
        """Robot-control runtime: start it, watch it, drive it."""

    register_all(app, verbs)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return run(make_app(), arguments)


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """Run an app; a user's mistake is a line on stderr, never a traceback."""
    from shared.cli.errors import CommandError
    from shared.core import MxrcError

    program = app.info.name or "mxrc"
    try:
        app(args=None if arguments is None else list(arguments), prog_name=program)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except CommandError as error:
        _complain(program, str(error))
        return error.status
    except MxrcError as error:
        _complain(program, str(error))
        return int(getattr(error, "status", EX_FAILED))
    except Exception as error:
        from shared.config import EX_CONFIG, ConfigError

        if not isinstance(error, ConfigError):
            raise
        _complain(program, str(error))
        return EX_CONFIG
    return 0


def _complain(program: str, text: str) -> None:
    for line in text.splitlines():
        typer.echo(f"{program}: {line}", err=True)


if __name__ == "__main__":
    sys.exit(main())
