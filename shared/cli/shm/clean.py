"""`mxrc shm clean`: remove dead generations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from shared.cli.segment import ConfigDir, Instance, Json

if TYPE_CHECKING:
    from shared.inspector.cleaning import Candidate, Cleaned


def register(app: typer.Typer) -> None:
    """Add `clean`."""

    @app.command()
    def clean(
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
        everything: Annotated[
            bool, typer.Option("--all", help="Every instance of this machine, not just one.")
        ] = False,
        run_dir: Annotated[
            Optional[Path],  # noqa: UP045  typer evaluates it
            typer.Option(
                metavar="DIR",
                help="Folder of the lock files (default: those in use, or configured).",
            ),
        ] = None,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Remove dead generations, under their lock; never one that a process uses.

        What a dead generation tells is gone then: look at it, or export it, before. A restart goes
        on from it: a clean one starts afresh. Exit status 1 when anything had to stay.
        """
        from shared.cli.output import print_model, print_rows
        from shared.cli.segment import chosen_instance, note
        from shared.inspector.cleaning import LockRefused, judge, remove
        from shared.inspector.objects import find_objects
        from shared.inspector.rows import as_dicts

        name = None if everything else chosen_instance(config_dir, instance)
        found = [judge(one) for one in find_objects() if name in (None, one.instance)]
        results: list[Cleaned] = []
        for one in found:
            if not one.removable:
                results.append(_left(one, one.refusal))
                continue
            if not yes and not _agreed(one):
                results.append(_left(one, "not confirmed"))
                continue
            try:
                results.append(remove(one, _lock(run_dir, config_dir, one.instance)))
            except LockRefused as error:
                results.append(_left(one, str(error)))
        if as_json:
            print_model(results)
        elif results:
            columns = {"instance": "instance", "removed": "removed", "detail": "detail"}
            print_rows(as_dicts(results), columns)
        else:
            note("there is nothing to remove")
        raise typer.Exit(1 if any(not one.removed for one in results) else 0)


def _left(one: Candidate, why: str) -> Cleaned:
    from shared.inspector.cleaning import Cleaned

    return Cleaned(one.instance, one.path, one.bytes, one.generation, False, why)


def _agreed(one: Candidate) -> bool:
    from shared.cli.errors import CommandError

    if not sys.stdin.isatty():
        raise CommandError("nobody to ask: give --yes", 2)
    question = f"Remove {one.path} ({one.bytes / (1 << 20):.1f} MiB, {one.reason})?"
    return typer.confirm(question, err=True)


def _lock(run_dir: Path | None, config_dir: Path | None, instance: str) -> Path:
    """A wrong one is no danger: without the lock file nothing is removed."""
    from shared.cli.options import load
    from shared.cli.shm.check import lock_file

    if run_dir is not None:
        return run_dir / f"{instance}.lock"
    in_use = lock_file(config_dir, instance)
    return in_use or load(config_dir, None).paths.run_dir / f"{instance}.lock"
