"""`mxrc shm watch`: a line whenever a field or a data-store value changes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from shared.cli.segment import ConfigDir, Instance, Json, complete_field


@dataclass(frozen=True, slots=True)
class Change:
    """A value that was found changed. time: of the look, UTC; value null: it cannot be read."""

    time: str
    name: str
    value: Any
    text: str
    unit: str


def register(app: typer.Typer) -> None:
    """Add `watch`."""

    @app.command()
    def watch(
        names: Annotated[
            list[str],
            typer.Argument(
                metavar="NAME...",
                autocompletion=complete_field,
                help="As for `get`; * and ? match.",
            ),
        ],
        interval: Annotated[
            float, typer.Option(min=0.005, max=3600, help="Seconds between two looks.")
        ] = 0.1,
        count: Annotated[
            int, typer.Option("--count", "-n", min=0, help="Lines; 0: until Ctrl-C.")
        ] = 0,
        every: Annotated[
            bool, typer.Option("--every", help="A line at each look, changed or not.")
        ] = False,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Values as they change; the first look gives all of them. --json: a document a line."""
        from shared.cli.segment import chosen_instance, followed, open_segment
        from shared.inspector.fields import Fields, readable

        name = chosen_instance(config_dir, instance)
        segment = open_segment(config_dir, name)
        fields = Fields(segment)
        wanted = _expanded(fields, names)
        last: dict[str, Any] = {}
        shown = 0
        for current in followed(name, segment):
            if current is not segment:
                segment, fields = current, Fields(current)
                wanted = _expanded(fields, names)
            for value in readable(fields, wanted):
                if not every and last.get(value.name, ...) == (value.value, value.text):
                    continue
                last[value.name] = (value.value, value.text)
                _show(Change(_now(), value.name, value.value, value.text, value.unit), as_json)
                shown += 1
                if shown == count:
                    return
            time.sleep(interval)


def _expanded(fields: Any, names: list[str]) -> list[str]:
    return [name for pattern in names for name in fields.expand(pattern)]


def _show(change: Change, as_json: bool) -> None:
    from shared.cli.output import cell, print_model

    if as_json:
        print_model(change, line=True)
    else:
        unit = f" {change.unit}" if change.unit else ""
        typer.echo(f"{change.time[11:23]}  {change.name}  {cell(change.text)}{unit}")


def _now() -> str:
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return now.replace("+00:00", "Z")
