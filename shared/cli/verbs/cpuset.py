"""`mxrc cpuset`: by hand and as root a cpuset for the RT process, without systemd."""

from __future__ import annotations

import os
from typing import Annotated, Optional

import typer

from shared.cli.options import ConfigDir, Instance

_NAME = "mxrc-rt"
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the cpuset.")]


def register(app: typer.Typer) -> None:
    """Add `cpuset`."""
    group = typer.Typer(help="Make a cpuset for the RT process by hand.", no_args_is_help=True)
    group.command()(create)
    group.command()(remove)
    group.command(
        name="exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
    )(run_in)
    app.add_typer(group, name="cpuset")


def create(
    cpus: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--cpus", metavar="LIST", help="Such as 2-3 (default: as configured)."),
    ] = None,
    root: Annotated[
        bool,
        typer.Option(
            "--root", help="A partition of type root, not isolated: SCHED_DEADLINE needs it."
        ),
    ] = False,
    name: Name = _NAME,
    config_dir: ConfigDir = None,
    instance: Instance = None,
) -> None:
    """Make a cpuset that isolates the RT thread's CPUs (root; cgroup v2 or v1)."""
    from shared.cli.options import load
    from shared.config.machine import LinuxMachine, parse_cpu_list, rt_cpus
    from shared.kernel.cpuset_admin import create_cpuset
    from shared.kernel.files import KernelFiles

    if cpus is None:
        chosen = frozenset(rt_cpus(load(config_dir, instance).cpu_affinity, LinuxMachine()))
    else:
        try:
            chosen = parse_cpu_list(cpus)
        except ValueError:
            raise typer.BadParameter(f"{cpus!r} is not a list of CPUs such as 2-3") from None
    typer.echo(create_cpuset(KernelFiles(), chosen, name, "root" if root else "isolated"))


def remove(name: Name = _NAME) -> None:
    """Take the cpuset away; what runs in it goes back to the root cpuset."""
    from shared.kernel.cpuset_admin import remove_cpuset
    from shared.kernel.files import KernelFiles

    typer.echo(remove_cpuset(KernelFiles(), name))


def run_in(context: typer.Context, name: Name = _NAME) -> None:
    """Run a program in the cpuset: mxrc cpuset exec -- mxrc-rt --config-dir DIR."""
    from shared.cli.errors import CommandError
    from shared.kernel.cpuset_admin import enter_cpuset
    from shared.kernel.files import KernelFiles

    if not context.args:
        raise typer.BadParameter("name the program to run, after --")
    enter_cpuset(KernelFiles(), os.getpid(), name)
    try:
        os.execvp(context.args[0], context.args)  # noqa: S606  that is what it is for
    except OSError as error:
        raise CommandError(f"{context.args[0]}: {error.strerror}") from None
