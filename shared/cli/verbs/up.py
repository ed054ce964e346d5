"""`mxrc up`: both processes, supervised, with a live table."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.cli.errors import leave
from shared.cli.options import ConfigDir, Instance


def register(app: typer.Typer) -> None:
    """Add `up`."""

    @app.command()
    def up(
        config_dir: ConfigDir = None,
        instance: Instance = None,
        demo: Annotated[
            bool, typer.Option("--demo", help="Run the demo task whenever nothing else does.")
        ] = False,
        standbys: Annotated[
            int, typer.Option("--standbys", min=0, max=7, help="RT processes that stand by.")
        ] = 0,
        table: Annotated[
            bool, typer.Option("--table/--no-table", help="Live table, where there is a terminal.")
        ] = True,
    ) -> None:
        """Start all processes, keep them running, show what they do; Ctrl-C stops them.

        Files go to ./var unless the configuration says where.
        """
        from shared.cli.up import run

        leave(run(config_dir, instance, demo=demo, table=table, standbys=standbys))
