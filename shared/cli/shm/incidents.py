"""`mxrc shm incidents`: what the flight recorder has frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Optional

import typer

from shared.cli.segment import ConfigDir, Instance, Json

_COLUMNS: Final = {
    "id": "id",
    "time": "time",
    "why": "why",
    "late_count": "late",
    "skipped": "skipped",
    "cause": "cause of the first",
}
Id = Annotated[str, typer.Argument(metavar="ID", help="From `list`; or `last`.")]


def register(app: typer.Typer) -> None:
    """Add `incidents`."""
    group = typer.Typer(no_args_is_help=True, help="Late cycles, SAFE_MODE and ERROR, frozen.")
    app.add_typer(group, name="incidents")

    @group.command("list")
    def list_command(
        instance: Instance = None, config_dir: ConfigDir = None, as_json: Json = False
    ) -> None:
        """All that are kept, oldest first."""
        from shared import incident_file
        from shared.cli.output import print_json, print_rows
        from shared.cli.segment import note

        heads = []
        for path in _files(config_dir, instance):
            try:
                heads.append(incident_file.read(path).head)
            except incident_file.IncidentUnreadable as error:
                note(str(error))
        if as_json:
            print_json(heads)
        elif not heads:
            typer.echo("no incidents")
        else:
            print_rows([head | {"cause": _cause(head)} for head in heads], _COLUMNS)

    @group.command()
    def show(
        id: Id = "last",
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Each late cycle with its causes."""
        from shared.cli.output import print_json

        head = _find(config_dir, instance, id).head
        if as_json:
            print_json(head)
        else:
            _show(head)

    @group.command()
    def export(
        id: Id,
        kind: Annotated[
            str, typer.Argument(metavar="FORMAT", help="csv, parquet, mcap or perfetto.")
        ],
        what: Annotated[str, typer.Option(help="csv, parquet: cycles, events, spans.")] = "cycles",
        output: Annotated[
            Optional[Path],  # noqa: UP045  typer evaluates it
            typer.Option("--output", "-o", metavar="FILE", help="Default: named after the id."),
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """The cycles before and after, with their events and spans, for other tools."""
        from shared.cli.errors import CommandError
        from shared.cli.output import print_model
        from shared.inspector.export.run import ONE_TABLE, SUFFIXES
        from shared.inspector.export.run import export as run

        if kind not in SUFFIXES or what not in ("cycles", "events", "spans"):
            raise CommandError(
                f"no format {kind} of {what}: csv, parquet, mcap, perfetto; cycles, events, spans",
                2,
            )
        incident = _find(config_dir, instance, id)
        middle = f"-{what}" if kind in ONE_TABLE else ""
        path = output or Path(f"incident-{incident.head['id']}{middle}.{SUFFIXES[kind]}")
        done = run(incident.recording(), kind, what, path, force=force)
        if as_json:
            print_model(done)
        else:
            typer.echo(
                f"{done.path}: {done.cycles} cycles, {done.events} events, {done.bytes} bytes"
            )


def _files(config_dir: Path | None, instance: str | None) -> list[Path]:
    from shared import incident_file
    from shared.cli.folders import find_folder
    from shared.cli.options import load
    from shared.cli.segment import chosen_instance

    config = load(config_dir, instance)
    folder = find_folder(config.instance, config.paths, "data_dir") / incident_file.FOLDER
    return incident_file.files(folder, chosen_instance(config_dir, instance))


def _find(config_dir: Path | None, instance: str | None, wanted: str) -> Any:
    from shared import incident_file
    from shared.cli.errors import CommandError

    found = _files(config_dir, instance)
    chosen = (
        found[-1:]
        if wanted == "last"
        else [path for path in found if incident_file.id_of(path) == wanted]
    )
    if not chosen:
        raise CommandError(f"no incident {wanted}: see `mxrc shm incidents list`", 1)
    return incident_file.read(chosen[0])


def _cause(head: dict[str, Any]) -> str:
    if not head["late"]:
        return ""
    first = head["late"][0]
    text = " and ".join(first["causes"])
    return f"{text} in {first['entry']}" if first["entry"] else text


def _show(head: dict[str, Any]) -> None:
    then = f", then {', '.join(head['then'])}" if head["then"] else ""
    typer.echo(
        f"incident {head['id']} of {head['instance']} at {head['time']}: {head['why']}{then}"
    )
    typer.echo(
        f"{head['late_count']} late cycle{'' if head['late_count'] == 1 else 's'}, "
        f"{head['skipped']} slots skipped; period "
        f"{head['period_us']:g} us, deadline {head['deadline_us']:g} us"
    )
    if head["folded_before"]:
        typer.echo(f"folded before it: {head['folded_before']} late cycles of a storm, no file")
    if head["lost"]:
        typer.echo(f"lost: {head['lost']} cycles in between were overwritten before they were read")
    if head["trace_ids"]:
        typer.echo(f"traces: {', '.join(head['trace_ids'])}")
    for late in head["late"]:
        where = f" in {late['entry']} ({late['entry_us']:.1f} us)" if late["entry"] else ""
        what = "deadline missed" if late["missed"] else "overrun"
        # A file of an earlier version has neither.
        held_up, waited_us = late.get("held_up", 0), late.get("held_up_us", 0)
        waited = f"waited {waited_us:.1f} us for the cycle before, " if waited_us else ""
        typer.echo(
            f"\ncycle {late['cycle']}: {what} by {late['late_us']:.1f} us\n"
            f"  cause: {' and '.join(late['causes'])}{where}\n"
            f"  {waited}woke {late['woke_late_us']:.1f} us late, worked {late['worked_us']:.1f} us"
        )
        if held_up:
            typer.echo(f"  held up {held_up} late cycle{'' if held_up == 1 else 's'} after it")
        for fact in late["facts"]:
            typer.echo(f"  {fact}")
        for guess in late["inferred"]:
            typer.echo(f"  inferred: {guess}")
    told = sum(1 + late.get("held_up", 0) for late in head["late"])
    if told < head["late_count"]:
        typer.echo(f"\nand {head['late_count'] - told} more")
    if head["late"] and not head["usage"]:
        typer.echo("\nfaults and switches are not known: set `rusage` in rt_schedule.json")
