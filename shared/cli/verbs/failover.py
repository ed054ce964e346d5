"""`mxrc failover`: hand over from the PRIMARY to a STANDBY."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from shared.cli.options import ConfigDir, Instance, Json

_COLUMNS: Final = {
    "pid": "pid",
    "role": "role",
    "cpu": "CPU",
    "heartbeat_age_ms": "heartbeat age ms",
}


def register(app: typer.Typer) -> None:
    """Add `failover`."""

    @app.command()
    def failover(
        to: Annotated[
            int | None, typer.Option("--to", min=1, help="pid of a STANDBY; else the first one.")
        ] = None,
        show: Annotated[
            bool, typer.Option("--list", help="Show the RT processes and their roles.")
        ] = False,
        config_dir: ConfigDir = None,
        instance: Instance = None,
        as_json: Json = False,
    ) -> None:
        """Hand over to a STANDBY between two cycles; the PRIMARY becomes STANDBY."""
        from shared.cli.client import Client
        from shared.cli.options import load
        from shared.cli.output import print_fields, print_rows

        client = Client(load(config_dir, instance))
        if show:
            print_rows(client.fetch("/api/v1/rt/processes"), _COLUMNS, as_json=as_json)
            return
        print_fields(client.post("/api/v1/rt/failover", {"to": to}), as_json=as_json)
