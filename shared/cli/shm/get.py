"""`mxrc shm get`: fields of the segment and values of the data store by name."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from shared.cli.segment import ConfigDir, Instance, Json, complete_field


def register(app: typer.Typer) -> None:
    """Add `get`."""

    @app.command()
    def get(
        names: Annotated[
            Optional[list[str]],  # noqa: UP045  typer evaluates it
            typer.Argument(
                metavar="[NAME]...",
                autocompletion=complete_field,
                help="rt_status.state, data.KEY or KEY, counter.NAME, cursors.cursor[0].name; "
                "* and ? match. Without a name: list all names.",
            ),
        ] = None,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Values of now; the value alone for a single name."""
        from shared.cli.output import cell, print_model, print_rows
        from shared.cli.segment import open_segment
        from shared.inspector.fields import Fields, readable
        from shared.inspector.rows import as_dicts

        fields = Fields(open_segment(config_dir, instance))
        wanted = [name for pattern in names or () for name in fields.expand(pattern)]
        if not names:
            wanted = fields.names()
            if not as_json:
                typer.echo("\n".join(wanted))
                return
        values = list(readable(fields, wanted))
        if as_json:
            print_model(values)
        elif len(values) == 1:
            typer.echo(cell(values[0].text))
        else:
            columns = {"name": "name", "text": "value", "unit": "unit"}
            print_rows(as_dicts(values), columns)
