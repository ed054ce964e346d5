"""`mxrc shm top`: live table of an instance, from the segment alone."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from shared.cli.options import ConfigDir, Instance, Json

if TYPE_CHECKING:
    from shared.cli.monitor import Monitor


def register(app: typer.Typer) -> None:
    """Add `top`."""

    @app.command()
    def top(
        config_dir: ConfigDir = None,
        instance: Instance = None,
        interval: Annotated[
            float, typer.Option(min=0.05, max=3600, help="Seconds between two looks.")
        ] = 0.5,
        count: Annotated[
            int, typer.Option("--count", "-n", min=0, help="Looks; 0: until Ctrl-C.")
        ] = 0,
        as_json: Json = False,
    ) -> None:
        """Cycles, jitter, misses, state, task and joints; works on a dead segment too."""
        from shared.cli.errors import Unavailable
        from shared.cli.monitor import Monitor
        from shared.cli.options import instance_name

        monitor = Monitor(instance_name(config_dir, instance))
        if monitor.sample() is None:
            raise Unavailable(monitor.problem)
        if sys.stdout.isatty() and not as_json:
            _on_terminal(monitor, interval, count)
        else:
            _as_lines(monitor, interval, count, as_json)


def _on_terminal(monitor: Monitor, interval: float, count: int) -> None:
    from rich.live import Live
    from rich.text import Text

    from shared.cli import live

    looks = 0
    with Live(auto_refresh=False, screen=not count) as screen:
        while not count or looks < count:
            sample = monitor.sample()
            shown = Text(monitor.problem) if sample is None else live.table(sample)
            screen.update(shown, refresh=True)
            looks += 1
            if looks != count:
                time.sleep(interval)


def _as_lines(monitor: Monitor, interval: float, count: int, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from shared.cli import live

    looks = 0
    while not count or looks < count:
        sample = monitor.sample()
        if sample is None:
            typer.echo(monitor.problem, err=True)
        elif as_json:
            typer.echo(json.dumps(_without_nan(asdict(sample))))
        else:
            typer.echo(live.line(sample))
        looks += 1
        if looks != count:
            time.sleep(interval)


def _without_nan(fields: dict[str, object]) -> dict[str, object]:
    """JSON has no NaN: what is not known is null."""
    return {name: None if value != value else value for name, value in fields.items()}
