"""`mxrc checkpoint`: look at the checkpoints of the RT process, check them, choose one."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from shared.cli.errors import leave
from shared.cli.options import ConfigDir, Instance, Json

if TYPE_CHECKING:
    from shared.cli.checkpoints import Found, Store

Folder = Annotated[
    Optional[Path],  # noqa: UP045  typer evaluates it
    typer.Option("--dir", metavar="DIR", help="Folder of the checkpoints (default: found)."),
]
Which = Annotated[
    str, typer.Argument(metavar="WHICH", help="A file, the beginning of an id, or newest.")
]


def register(app: typer.Typer) -> None:
    """Add `checkpoint`."""
    group = typer.Typer(help="Checkpoints of the RT process.", no_args_is_help=True)
    group.command(name="list")(list_)
    for verb in (show, verify, diff, restore, seal):
        group.command()(verb)
    app.add_typer(group, name="checkpoint")


def _store(config_dir: Path | None, instance: str | None, folder: Path | None) -> Store:
    from shared.cli.checkpoints import Store
    from shared.cli.folders import find_folder
    from shared.cli.options import load

    config = load(config_dir, instance)
    if folder is None:
        folder = find_folder(config.instance, config.paths, "checkpoint_dir")
    return Store(folder, config.instance_name)


def _row(found: Found) -> dict[str, Any]:
    row: dict[str, Any] = {"file": found.path.name, "good": found.file is not None}
    if found.file is None:
        return row | {"problem": found.problem}
    state = found.file.document["rt_state"]
    state = state if isinstance(state, dict) else {}
    age = datetime.now(timezone.utc) - found.file.timestamp
    return row | {
        "checkpoint_id": found.file.checkpoint_id,
        "timestamp": found.file.timestamp.isoformat(timespec="seconds"),
        "age_seconds": round(age.total_seconds(), 1),
        "state": state.get("state"),
        "cycle": state.get("cycle"),
        "tasks": len(state.get("active_tasks") or ()),
        "bytes": found.file.size_bytes,
    }


_COLUMNS = {
    "file": "file",
    "checkpoint_id": "id",
    "age_seconds": "age s",
    "state": "state",
    "cycle": "cycle",
    "tasks": "tasks",
    "bytes": "bytes",
    "problem": "problem",
}


def list_(
    config_dir: ConfigDir = None,
    instance: Instance = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Every checkpoint, newest first, with what is wrong with those that nothing goes on from."""
    from shared.cli.output import print_rows

    rows = [_row(found) for found in _store(config_dir, instance, folder).all()]
    print_rows(rows, _COLUMNS, as_json=as_json, title="checkpoints")


def show(
    which: Which = "newest",
    config_dir: ConfigDir = None,
    instance: Instance = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """The content of a good checkpoint."""
    from shared.cli.output import print_fields

    file = _store(config_dir, instance, folder).find(which)
    print_fields(file.document, as_json=as_json, title=str(file.path))


def verify(
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(metavar="[FILE]...", help="Files to verify (default: all of the folder)."),
    ] = None,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Ask of each file what a starting RT process asks; exit status 1 when one fails."""
    from shared.cli.output import print_rows

    store = _store(config_dir, instance, folder)
    found = [store.verify(path) for path in files] if files else store.all()
    rows = [_row(one) for one in found]
    print_rows(rows, {"file": "file", "good": "good", "problem": "problem"}, as_json=as_json)
    leave(int(not all(row["good"] for row in rows)))


def diff(
    first: Which,
    second: Which,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """What two good checkpoints do not share; exit status 1 when there is anything."""
    from shared.cli.checkpoints import differences
    from shared.cli.output import print_rows

    store = _store(config_dir, instance, folder)
    a, b = store.find(first), store.find(second)
    rows = [one._asdict() for one in differences(a.document, b.document)]
    columns = {"path": "path", "first": a.path.name, "second": b.path.name}
    print_rows(rows, columns, as_json=as_json)
    leave(int(bool(rows)))


def restore(
    which: Which,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Have the next start of RT go on from this one: it becomes the newest, under an id of its own.

    Refused while there is a segment, whose state counts first.
    """
    from shared.cli.output import print_fields

    store = _store(config_dir, instance, folder)
    old = store.find(which)
    new = store.restore(old)
    fields = {
        "checkpoint_id": new.checkpoint_id,
        "restored_from": old.checkpoint_id,
        "file_path": str(new.path),
    }
    print_fields(fields, as_json=as_json)


def seal(file: Annotated[Path, typer.Argument(help="A file that was edited by hand.")]) -> None:
    """Give an edited file its size and checksum, so that it counts as good again."""
    from shared.cli.checkpoints import seal_file

    seal_file(file)
    typer.echo(f"{file}: sealed; `mxrc checkpoint verify {file}` tells whether it is good")
