"""`mxrc shm info`: header, processes, post-mortem, regions, layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Optional

import typer

from shared.cli.segment import ConfigDir, Instance, Json

if TYPE_CHECKING:
    from shared.inspector.information import Info
    from shared.inspector.postmortem import PostMortem

_PROCESSES: Final = {
    "name": "process",
    "role": "role",
    "pid": "pid",
    "condition": "condition",
    "age_ms": "heartbeat ms ago",
    "remark": "remark",
}
_REGIONS: Final = {
    "id": "id",
    "name": "region",
    "writer": "writer",
    "offset": "offset",
    "bytes": "bytes",
    "struct": "struct",
    "element": "element",
    "element_count": "elements",
    "head": "head",
    "tombstones": "tombstones",
}
_LAYOUT: Final = {
    "region": "region",
    "struct": "struct",
    "field": "field",
    "offset": "offset",
    "bytes": "bytes",
    "type": "type",
}


def register(app: typer.Typer) -> None:
    """Add `info`."""

    @app.command()
    def info(
        layout: Annotated[
            bool, typer.Option("--layout", help="Every field with its place and type.")
        ] = False,
        region: Annotated[
            Optional[str],  # noqa: UP045  typer evaluates it
            typer.Option(metavar="NAME", help="Only this region, e.g. rt_status."),
        ] = None,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """What the segment is, who uses it, who died in it, and where everything lies."""
        from shared.cli.errors import CommandError
        from shared.cli.output import print_model
        from shared.cli.segment import attach, chosen_instance
        from shared.inspector.information import information
        from shared.inspector.objects import examine, object_path

        name = chosen_instance(config_dir, instance)
        found = examine(object_path(name))
        if found is None:
            attach(name)  # says that it is not there
            return
        all_regions = [row.name for row in found.regions]
        if region is not None and region not in all_regions:
            raise CommandError(
                f"--region {region!r}: there is none; there are {', '.join(all_regions)}", 2
            )
        told = information(found, region, layout)
        if as_json:
            print_model(told)
        else:
            _show(told)


def _show(told: Info) -> None:
    from shared.cli.output import print_fields, print_rows
    from shared.cli.segment import note
    from shared.inspector.rows import as_dict, as_dicts

    if told.problem:
        note(told.problem)
    fields: dict[str, Any] = {
        name: getattr(told, name)
        for name in ("instance", "path", "kind", "bytes", "owner", "mode", "this_boot")
    }
    if told.header is not None:
        fields["header"] = as_dict(told.header)
    print_fields(fields, title="segment")
    if told.processes:
        typer.echo("")
        rows = as_dicts(told.processes)
        for row in rows:
            row["age_ms"] = None if row["age_ms"] is None else f"{row['age_ms']:.1f}"
        print_rows(rows, _PROCESSES, title="processes")
    if told.post_mortem is not None:
        _post_mortem(told.post_mortem)
    if told.regions:
        typer.echo("")
        print_rows(as_dicts(told.regions), _REGIONS, title="regions")
    if told.layout:
        typer.echo("")
        print_rows(as_dicts(told.layout), _LAYOUT, title="layout")


def _post_mortem(found: PostMortem) -> None:
    from shared.cli.output import cell

    lines = [found.headline]
    for one in found.deaths:
        lines.append(
            f"  {one.role} {one.who}, pid {one.pid}: last sign of life {one.last_sign or 'none'}; "
            f"{one.how}"
        )
    lines.append(f"  newest whole state: cycle {found.state_cycle}, {found.state}")
    last = found.last_cycle
    if last is not None:
        flags = f", {last.flags}" if last.flags else ""
        lines.append(
            f"  last cycle record: cycle {last.cycle} at {last.time}, {last.state}, "
            f"jitter {last.jitter_us:.1f} us, cycle time {last.cycle_time_us:.1f} us{flags}"
        )
    if found.unfinished_record is not None:
        lines.append(f"  died while writing cycle record {found.unfinished_record}")
    lines.append(f"  deadline misses and skipped slots in its last second: {found.misses_before}")
    for task in found.tasks:
        lines.append(
            f"  task under way: {task.task_id} ({task.task}), {task.sequence} step {task.step} "
            f"{task.action}, {task.status}, {task.action_elapsed_ms:.0f} ms into the action, "
            f"trace {task.trace_id}"
        )
    if not found.tasks:
        lines.append("  task under way: none")
    lines.append(
        f"  not taken yet: {found.waiting_commands} commands, {found.unread} events (by the logs)"
    )
    if found.last_events:
        lines.append("  last log events:")
        lines += [
            f"    {one.time[11:26]} {one.level:<8} {one.message}" for one in found.last_events
        ]
    typer.echo("\npost-mortem")
    for line in lines:
        typer.echo(cell(line))
