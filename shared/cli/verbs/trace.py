"""`mxrc trace`: traces kept on this machine, and how many are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Optional

import typer

from shared.cli.options import ConfigDir, Instance, Json

_COLUMNS: Final = {
    "trace_id": "trace",
    "started_at": "started",
    "duration_ms": "ms",
    "root": "begins with",
    "task_id": "task",
    "spans": "spans",
    "error": "error",
}
_OPERATIONS: Final = {
    "operation": "operation",
    "spans": "spans",
    "mean_ms": "mean ms",
    "p95_ms": "p95 ms",
    "judged_ms": "judged ms",
    "threshold_ms": "threshold ms",
    "error_ratio": "errors",
    "waits_for": "bottleneck: waits for",
}
_RATES: Final = ("sampling_rate", "task_sampling_rate", "rt_cycle_sampling_rate")

TraceId = Annotated[str, typer.Argument(metavar="TRACE_ID", help="32 hex digits.")]
Rate = Annotated[Optional[float], typer.Option(min=0, max=1, help="0 to 1.")]  # noqa: UP045


def register(app: typer.Typer) -> None:
    """Add `trace`."""
    group = typer.Typer(help="Look at traces, set sampling rates.", no_args_is_help=True)
    group.command(name="list")(list_traces)
    group.command()(show)
    group.command()(export)
    group.command()(operations)
    group.command()(sampling)
    app.add_typer(group, name="trace")


def list_traces(
    task: Annotated[Optional[str], typer.Option(help="Only of this task id.")] = None,  # noqa: UP045
    min_duration: Annotated[float, typer.Option(min=0, help="At least so many ms.")] = 0,
    error: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--error/--no-error", help="Only with, or without, an error."),
    ] = None,
    cycles: Annotated[bool, typer.Option("--cycles", help="rt.cycle traces instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Traces, newest first."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_rows

    page = Client(load(config_dir, instance)).fetch(
        "/api/v1/traces",
        task=task,
        min_duration=min_duration,
        error=None if error is None else str(error).lower(),
        cycles=str(cycles).lower(),
        limit=limit,
    )
    print_rows(page["traces"], _COLUMNS, as_json=as_json, title="traces")


def show(
    trace_id: TraceId,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """The spans of a trace as a waterfall."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_json
    from shared.cli.waterfall import waterfall

    answer = Client(load(config_dir, instance)).fetch(f"/api/v1/traces/{trace_id}")
    if as_json:
        print_json(answer)
        return
    for line in waterfall(answer["spans"], shutil.get_terminal_size().columns):
        typer.echo(line)


def export(
    trace_id: TraceId,
    form: Annotated[
        Literal["perfetto", "otlp-json"],
        typer.Option("--format", help="perfetto: for ui.perfetto.dev, with cycles and misses."),
    ] = "perfetto",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="File to write (default: standard output)."),
    ] = None,
    config_dir: ConfigDir = None,
    instance: Instance = None,
) -> None:
    """Write a trace for another program."""
    from shared.cli.client import Client
    from shared.cli.errors import CommandError
    from shared.cli.options import load
    from shared.cli.waterfall import perfetto

    client = Client(load(config_dir, instance))
    path = f"/api/v1/traces/{trace_id}"
    if form == "otlp-json":
        document = client.fetch(path, format="otlp-json")
    else:
        document = perfetto(client.fetch(path, cycles="true")["spans"])
    text = json.dumps(document) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise CommandError(f"{output}: {error.strerror}") from error


def sampling(
    rate: Rate = None,
    task_rate: Rate = None,
    cycle_rate: Rate = None,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Show the sampling rates, or change them at once."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    client = Client(load(config_dir, instance))
    given = zip(_RATES, (rate, task_rate, cycle_rate), strict=True)
    change: dict[str, Any] = {name: value for name, value in given if value is not None}
    path = "/api/v1/tracing/sampling"
    print_fields(client.put(path, change) if change else client.fetch(path), as_json=as_json)


def operations(
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """What each operation took in the last minute, bottlenecks first."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_rows

    page = Client(load(config_dir, instance)).fetch("/api/v1/tracing/operations")
    rows = [
        one | {"waits_for": (one["bottleneck"] or {}).get("step", "")} for one in page["operations"]
    ]
    print_rows(rows, _OPERATIONS, as_json=as_json, title="operations")
