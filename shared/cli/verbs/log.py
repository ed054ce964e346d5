"""`mxrc log`: search and follow the logs of this machine, change what is logged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any, Final, Optional

import typer

from shared.cli.options import ConfigDir, Instance, Json

_LEVELS: Final = "trace, debug, info, warn, error or critical"
Level = Annotated[
    Optional[str],  # noqa: UP045  typer evaluates it, and so does Python 3.10
    typer.Option("--level", metavar="LEVEL", help=f"This level and those above: {_LEVELS}."),
]
Task = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--task", metavar="ID", help="Lines of this task only."),
]
Trace = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--trace", metavar="ID", help="Lines of this trace (32 hex digits) only."),
]
Process = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--process", metavar="NAME", help="rt_process or non_rt_process."),
]


def register(app: typer.Typer) -> None:
    """Add `log` with search, tail and level."""
    group = typer.Typer(help="Search and follow the logs, change levels.", no_args_is_help=True)
    group.command()(search)
    group.command()(tail)
    group.command()(level)
    app.add_typer(group, name="log")


def search(
    text: Annotated[
        str, typer.Argument(help='Words, "phrases" and prefix*; all must be there.')
    ] = "",
    since: Annotated[
        str, typer.Option("--since", help="An age (90s, 15m, 1h, 1d) or a time (UTC).")
    ] = "1d",
    level: Level = None,
    task: Task = None,
    trace: Trace = None,
    process: Process = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 50,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Lines that fit, the newest last. Without the Non-RT process the files are read instead."""
    from shared.cli import log_lines
    from shared.cli.client import Client
    from shared.cli.errors import Unavailable
    from shared.cli.options import load
    from shared.config import ConfigError

    _check(level, process)
    began = log_lines.seconds_of(since, time.time())
    try:
        page = Client(load(config_dir, instance)).fetch(
            "/api/v1/logs",
            q=text or None,
            since=began,
            level=level,
            task=task,
            trace=trace,
            process=process,
            limit=limit,
        )
        found: list[Any] = list(page["logs"])
    except (Unavailable, ConfigError) as error:
        reason = "the Non-RT process does not answer"
        if isinstance(error, ConfigError):
            reason = f"the configuration is wrong ({error.problems[0]})"
        typer.echo(f"mxrc: {reason}; reading the files", err=True)
        fits = log_lines.make_filter(
            text=text, since=began, level=level, task=task, trace=trace, process=process
        )
        found = list(log_lines.search_files(_folder(config_dir, instance), fits, limit))
    for document in reversed(found):
        _show(document, as_json)
    if not found:
        typer.echo("mxrc: nothing found", err=True)


def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000)] = 20,
    level: Level = None,
    task: Task = None,
    trace: Trace = None,
    process: Process = None,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """The last lines of both logs, from the files: works when nothing runs."""
    from contextlib import suppress

    from shared.cli import log_lines
    from shared.cli.errors import CommandError

    _check(level, process)
    folder = _folder(config_dir, instance)
    fits = log_lines.make_filter(level=level, task=task, trace=trace, process=process)
    coming = log_lines.follow(folder, fits) if follow else None
    try:
        for document in reversed(log_lines.search_files(folder, fits, lines) if lines else []):
            _show(document, as_json)
    except CommandError:
        if not follow:
            raise
    if coming is not None:
        with suppress(KeyboardInterrupt):
            for document in coming:
                _show(document, as_json)


def level(
    wanted: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[LEVEL]", help=f"{_LEVELS}; left out: show those in force."),
    ] = None,
    logger: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--logger", metavar="NAME", help="This logger and those below it only."),
    ] = None,
    process: Process = None,
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--minutes", min=0.001, help="Go back to what it was after so many minutes."),
    ] = None,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Show or change levels: for --minutes, or until changed again, across restarts."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    _check(wanted, process)
    client = Client(load(config_dir, instance))
    if wanted is None:
        print_fields(client.fetch("/api/v1/log-level"), as_json=as_json)
        return
    body: dict[str, Any] = {} if minutes is None else {"minutes": minutes}
    if logger is not None:
        body["loggers"] = {logger: wanted}
    else:
        body["level"] = wanted
        if process is not None:
            body["process"] = process
    print_fields(client.put("/api/v1/log-level", body), as_json=as_json)


def _folder(config_dir: Path | None, instance: str | None) -> Path:
    """Where the files are, also when a task or a setting keeps mxrc from starting."""
    from shared.cli.folders import find_folder
    from shared.config.load import load_instance
    from shared.startup import default_config_dir, with_instance

    environ = with_instance(os.environ, instance)
    return find_folder(*load_instance(config_dir or default_config_dir(), environ), "log_dir")


def _check(level: str | None, process: str | None) -> None:
    from shared.cli import log_lines

    if level is not None and level not in log_lines.LEVELS:
        raise typer.BadParameter(f"{level!r} is none of {_LEVELS}", param_hint="LEVEL")
    if process is not None and process not in log_lines.PROCESSES:
        raise typer.BadParameter(f"{process!r} is neither rt_process nor non_rt_process")


def _show(document: Any, as_json: bool) -> None:
    from shared.cli import log_lines

    typer.echo(json.dumps(document, ensure_ascii=False) if as_json else log_lines.text_of(document))
