"""`mxrc shm export`: the rings as a file for other tools."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from shared.cli.segment import ConfigDir, Instance, Json, Last, Since


class Format(str, Enum):
    """Formats of files."""

    CSV = "csv"
    PARQUET = "parquet"
    MCAP = "mcap"
    PERFETTO = "perfetto"


class Table(str, Enum):
    """Kinds of records."""

    CYCLES = "cycles"
    EVENTS = "events"
    SPANS = "spans"


def register(app: typer.Typer) -> None:
    """Add `export`."""

    @app.command()
    def export(
        kind: Annotated[
            Format,
            typer.Argument(
                metavar="FORMAT",
                help="csv, parquet (extra `parquet`), mcap (for Foxglove and PlotJuggler; extra "
                "`mcap`) or perfetto (ui.perfetto.dev).",
            ),
        ],
        what: Annotated[
            Table, typer.Option(help="Of csv and parquet; the others hold all kinds.")
        ] = Table.CYCLES,
        output: Annotated[
            Optional[str],  # noqa: UP045  typer evaluates it
            typer.Option(
                "--output",
                "-o",
                metavar="FILE",
                help="- is stdout (default: named after the instance).",
            ),
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
        since: Since = None,
        last: Last = None,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Cycles, events and spans that the rings hold; --json describes the file written."""
        from shared.cli.errors import CommandError
        from shared.cli.output import print_model
        from shared.cli.segment import chosen_instance, note, open_segment, since_ns
        from shared.inspector.export.recording import record
        from shared.inspector.export.run import ONE_TABLE, SUFFIXES
        from shared.inspector.export.run import export as run

        if output == "-" and as_json:
            raise CommandError("--json and the file cannot both go to stdout: give -o FILE", 2)
        name = chosen_instance(config_dir, instance)
        segment = open_segment(config_dir, name)
        recording = record(name, segment, last, since_ns(segment, since))
        middle = f"-{what.value}" if kind.value in ONE_TABLE else ""
        default = f"{name}{middle}.{SUFFIXES[kind.value]}"
        path = None if output == "-" else Path(output or default)
        done = run(recording, kind.value, what.value, path, force=force)
        if as_json:
            print_model(done)
            return
        text = (
            f"{done.path}: {done.cycles} cycles, {done.events} events, {done.spans} spans, "
            f"{done.bytes} bytes"
        )
        if done.lost:
            note(f"{done.lost} records were overwritten while they were read")
        if path is None:
            note(text)
        else:
            typer.echo(text)
