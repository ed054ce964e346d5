"""`mxrc task definitions | add | remove`: definitions of the running instance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from shared.cli.options import ConfigDir, Instance, Json

if TYPE_CHECKING:
    from shared.cli.client import Client

_COLUMNS: Final = {"key": "definition", "source": "from", "mode": "mode", "error": "error"}
_PAGE: Final = 1000


def definitions(
    config_dir: ConfigDir = None, instance: Instance = None, as_json: Json = False
) -> None:
    """Definitions that can be started: files, and those added over HTTP."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_json, print_rows

    client = Client(load(config_dir, instance))
    found: list[dict[str, Any]] = []
    while True:
        page = client.fetch("/api/v1/task-definitions", limit=_PAGE, offset=len(found))
        found += page["definitions"]
        if not page["definitions"] or len(found) >= page["total"]:
            break
    if as_json:
        print_json(found)
        return
    rows = [{**one, "mode": one["document"].get("mode", "once")} for one in found]
    print_rows(rows, _COLUMNS, title="definitions")


def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The definition, JSON.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of one that was added before.")
    ] = False,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Add a definition to the running instance; it stays across restarts."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields
    from shared.config.json_file import parse_json, read_file
    from shared.program import compile_document

    config = load(config_dir, instance)
    content = read_file(file)[0]
    compiled = compile_document(content, config, source=str(file))  # names the file, all faults
    document = parse_json(content, str(file))
    client = Client(config)
    if replace:
        answer = client.put(_path(compiled.definition.key), document)
    else:
        answer = client.post("/api/v1/tasks", document)
    fields = {"key": answer["key"], "source": answer["source"]}
    print_fields(fields, as_json=as_json)


def remove(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its pattern.")],
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Delete a definition that was added; not while a task runs it."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    client = Client(load(config_dir, instance))
    answer = client.delete(_path(key))
    print_fields({"key": answer["key"], "deleted": True}, as_json=as_json)


def known_mode(client: Client, key: str) -> str:
    """Mode of a definition that was added under `key`; once when there is none."""
    answer = client.get(_path(key))
    if answer.status == 200 and isinstance(answer.body, dict):
        return str(answer.body["document"].get("mode", "once"))
    return "once"


def _path(key: str) -> str:
    return f"/api/v1/task-definitions/{quote(key, safe='')}"
