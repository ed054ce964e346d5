"""`mxrc systemd`: the units of a system service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.cli.options import ConfigDir, Json

Root = Annotated[
    Path, typer.Option("--root", metavar="DIR", help="Root of the system (for making images).")
]


def register(app: typer.Typer) -> None:
    """Add `systemd`."""
    group = typer.Typer(help="Run mxrc as a service of systemd.", no_args_is_help=True)
    group.command()(install)
    group.command()(uninstall)
    group.command()(status)
    app.add_typer(group, name="systemd")


def install(
    config_dir: ConfigDir = None,
    root: Root = Path("/"),
    user: Annotated[str, typer.Option(help="System user that both processes run as.")] = "mxrc",
    now: Annotated[bool, typer.Option("--now", help="Enable and start at once.")] = False,
) -> None:
    """Render the units from /etc/mxrc and install them; run again after a change of the policy.

    A missing /etc/mxrc is copied from --config-dir (default: mxrc's own configuration).
    """
    from shared.cli.systemd.install import install

    install(config_dir, root, user, typer.echo, now=now)


def uninstall(root: Root = Path("/")) -> None:
    """Stop the services and remove the units; configuration, logs and data stay."""
    from shared.cli.systemd.install import uninstall

    uninstall(root, typer.echo)


def status(root: Root = Path("/"), as_json: Json = False) -> None:
    """State of the units, and whether they are as the configuration wants them."""
    from shared.cli.output import print_rows
    from shared.cli.systemd.install import status

    columns = {
        "unit": "unit",
        "state": "state",
        "restarts": "restarts",
        "pid": "pid",
        "status": "status",
        "file": "file",
    }
    print_rows(status(root), columns, as_json=as_json, title="mxrc units")
