"""`mxrc shm check`: is the segment whole?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from shared.cli.segment import ConfigDir, Instance, Json

if TYPE_CHECKING:
    from pathlib import Path

EX_GOOD: Final = 0
EX_BAD: Final = 1
EX_NONE: Final = 2

_COLUMNS: Final = {
    "verdict": "verdict",
    "place": "place",
    "check": "check",
    "detail": "detail",
}


def register(app: typer.Typer) -> None:
    """Add `check`."""

    @app.command()
    def check(
        alive: Annotated[
            bool, typer.Option("--alive", help="Also demand that its processes live.")
        ] = False,
        verbose: Annotated[
            bool, typer.Option("--verbose", "-v", help="Show what is good, too.")
        ] = False,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Magic, hash, sequence words, CRCs, heartbeats, cursors, locks.

        Exit status 0: good, 1: bad, 2: there is no segment.
        """
        from shared.cli.output import print_model, print_rows
        from shared.cli.segment import chosen_instance, note
        from shared.inspector.checks.report import check_instance
        from shared.inspector.rows import as_dicts

        name = chosen_instance(config_dir, instance)
        report = check_instance(name, lock_file(config_dir, name), demand_alive=alive)
        if report is None:
            note(f"there is no segment of instance {name} in /dev/shm")
            if as_json:
                print_model(None)
            raise typer.Exit(EX_NONE)
        if as_json:
            print_model(report)
        else:
            shown = [one for one in report.findings if verbose or one.verdict != "good"]
            if shown:
                print_rows(as_dicts(shown), _COLUMNS)
            counts = [
                f"{sum(one.verdict == verdict for one in report.findings)} {verdict}"
                for verdict in ("good", "note", "bad")
            ]
            typer.echo(f"{name}: {report.verdict} ({', '.join(counts)})")
        raise typer.Exit(EX_BAD if report.verdict == "bad" else EX_GOOD)


def lock_file(config_dir: Path | None, instance: str) -> Path | None:
    """Lock file of an instance by the configuration, None when that cannot be read."""
    from shared.cli.folders import find_folder
    from shared.cli.options import load
    from shared.config import ConfigError

    try:
        config = load(config_dir, instance)
    except ConfigError:
        return None
    return find_folder(config.instance, config.paths, "run_dir") / f"{instance}.lock"
