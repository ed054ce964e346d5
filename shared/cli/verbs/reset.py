"""`mxrc reset`: after MANUAL_INTERVENTION."""

from __future__ import annotations

import typer

from shared.cli.options import ConfigDir, Instance, Json


def register(app: typer.Typer) -> None:
    """Add `reset`."""

    @app.command()
    def reset(
        config_dir: ConfigDir = None, instance: Instance = None, as_json: Json = False
    ) -> None:
        """End MANUAL_INTERVENTION: count restarts from zero, start what was given up.

        The RT state stays safe: PAUSED afterwards, `mxrc rt resume` lets the machine move.
        """
        from shared.cli.options import load
        from shared.cli.output import print_fields
        from shared.cli.reset import reset

        def say(line: str) -> None:
            typer.echo(line, err=True)

        print_fields(reset(load(config_dir, instance), say), as_json=as_json)
