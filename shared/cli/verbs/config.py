"""`mxrc config`: check and show the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from shared.cli.errors import leave
from shared.cli.options import ConfigDir, Instance, Json


def register(app: typer.Typer) -> None:
    """Add `config`."""
    group = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)
    group.command()(check)
    group.command()(show)
    group.command()(changes)
    group.command()(reset)
    app.add_typer(group, name="config")


def check(
    directory: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[DIR]", help="Folder to check (default: as for --config-dir)."),
    ] = None,
    config_dir: ConfigDir = None,
    machine: Annotated[
        bool,
        typer.Option("--machine/--no-machine", help="Check CPUs and NUMA nodes of this machine."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Validate every file; a line per problem, exit status 78 when there is any."""
    from dataclasses import asdict

    from shared.cli.output import print_json
    from shared.config import EX_CONFIG, ConfigError, load_config
    from shared.startup import default_config_dir

    folder = directory or config_dir or default_config_dir()
    try:
        config = load_config(folder, check_machine=machine)
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": [asdict(one) for one in error.problems]})
        leave(EX_CONFIG)
        return
    if as_json:
        print_json({"ok": True, "problems": []})
    else:
        absent = f", defaults for {', '.join(config.absent)}" if config.absent else ""
        typer.echo(f"{folder}: good ({len(config.tasks)} task definitions{absent})")


def show(
    section: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="File stem such as api, or tasks (default: all)."),
    ] = None,
    config_dir: ConfigDir = None,
    instance: Instance = None,
) -> None:
    """Print the configuration in force as JSON, defaults and overrides included; no secrets."""
    from shared.cli.options import load
    from shared.cli.output import print_json
    from shared.config.registry import SECTIONS

    config = load(config_dir, instance)
    everything: dict[str, Any] = {
        stem: getattr(config, stem).model_dump(
            mode="json", by_alias=True, exclude={"schema_reference"}
        )
        for stem in SECTIONS
    }
    everything["tasks"] = {
        key: task.model_dump(mode="json", exclude={"schema_reference"})
        for key, task in config.tasks.items()
    }
    everything["in_force"] = {
        "directory": str(config.directory),
        "instance": config.instance_name,
        "paths": {name: str(getattr(config.paths, name)) for name in config.paths.__slots__},
    }
    if section is not None and section not in everything:
        known = ", ".join(everything)
        raise typer.BadParameter(f"{section!r} is not one of {known}", param_hint="SECTION")
    print_json(everything if section is None else everything[section])


def changes(
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Show what was changed at run time and is laid over the files at every start."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    found = Client(load(config_dir, instance)).fetch("/api/v1/overrides")
    if found or as_json:
        print_fields(found, as_json=as_json)
    else:
        typer.echo("nothing: the configuration files are in force")


def reset(
    section: Annotated[str, typer.Argument(metavar="FILE", help="File stem such as logging.")],
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Go back to what a configuration file says: at once, and for the next start."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields
    from shared.config.overrides import SECTIONS

    if section not in SECTIONS:
        raise typer.BadParameter(
            f"{section!r} cannot be changed at run time; one of {', '.join(SECTIONS)} can",
            param_hint="FILE",
        )
    left = Client(load(config_dir, instance)).delete(f"/api/v1/overrides/{section}")
    if as_json:
        print_fields(left, as_json=True)
        return
    rest = f"; still changed: {', '.join(sorted(left))}" if left else ""
    typer.echo(f"{section}: as in the file{rest}")
