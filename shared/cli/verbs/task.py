"""`mxrc task`: start, list, cancel and watch tasks through the API; compile definitions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final, Optional
from urllib.parse import quote

import typer

from shared.cli.errors import EX_FAILED, leave
from shared.cli.options import ConfigDir, Instance, Json
from shared.cli.verbs.task_compile import compile_definition
from shared.cli.verbs.task_definitions import add, definitions, known_mode, remove

_COLUMNS: Final = {
    "task_id": "task",
    "execution_id": "execution",
    "status": "status",
    "mode": "mode",
    "definition": "definition",
    "step": "step",
    "action": "action",
    "progress": "per cent",
    "accepted_at": "accepted",
    "error": "error",
    "trace_id": "trace",
}
_ENDED: Final = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
_POLL_S: Final = 0.2

TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="Your name for this task.")]


def register(app: typer.Typer) -> None:
    """Add `task`."""
    group = typer.Typer(
        help="Start, list, steer and watch tasks; compile definitions.", no_args_is_help=True
    )
    group.command()(start)
    group.command(name="list")(list_tasks)
    group.command()(show)
    group.command()(cancel)
    group.command()(pause)
    group.command()(resume)
    group.command()(watch)
    group.command(name="compile")(compile_definition)
    group.command()(definitions)
    group.command()(add)
    group.command()(remove)
    app.add_typer(group, name="task")


def start(
    task_id: TaskId,
    mode: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="once, periodic or triggered (default: the definition's)."),
    ] = None,
    definition: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What to run (default: the definition of that id or pattern)."),
    ] = None,
    parameter: Annotated[
        list[str], typer.Option("--param", metavar="NAME=VALUE", help="A parameter; VALUE is JSON.")
    ] = [],  # noqa: B006  typer copies it
    follow: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Start a task; prints its execution and trace id."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    config = load(config_dir, instance)
    client = Client(config)
    if mode is None:
        known = config.tasks.get(definition) if definition else config.find_task(task_id)
        mode = known.mode if known is not None else known_mode(client, definition or task_id)
    body: dict[str, Any] = {"task_id": task_id, "mode": mode}
    if definition is not None:
        body["definition"] = definition
    if parameter:
        body["parameters"] = _parameters(parameter)
    print_fields(client.post("/api/v1/task/start", body), as_json=as_json)
    if follow:
        leave(_follow(client, task_id, as_json))


def list_tasks(
    status: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Only PENDING, RUNNING, COMPLETED, FAILED or CANCELLED ones."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="Leave out so many of the newest.")] = 0,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Tasks, newest first."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_json, print_rows

    client = Client(load(config_dir, instance))
    page = client.fetch("/api/v1/tasks", status=status, limit=limit, offset=offset)
    if as_json:
        print_json(page)
    else:
        print_rows(_items(page), _COLUMNS, title="tasks")


def show(
    task_id: TaskId,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """State of a task."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    client = Client(load(config_dir, instance))
    print_fields(client.fetch(_path(task_id)), as_json=as_json)


def cancel(
    task_id: TaskId,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Cancel a task."""
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    client = Client(load(config_dir, instance))
    answer = client.delete(_path(task_id))
    fields = answer if isinstance(answer, Mapping) else {"task_id": task_id, "status": "CANCELLED"}
    print_fields(fields, as_json=as_json)


def pause(
    task_id: TaskId,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Hold a task: its axes stop within their limits and stay its own."""
    _steer(task_id, "pause", config_dir, instance, as_json)


def resume(
    task_id: TaskId,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Let a paused task go on."""
    _steer(task_id, "resume", config_dir, instance, as_json)


def _steer(
    task_id: str, verb: str, config_dir: ConfigDir, instance: Instance, as_json: bool
) -> None:
    from shared.cli.client import Client
    from shared.cli.options import load
    from shared.cli.output import print_fields

    answer = Client(load(config_dir, instance)).post(f"{_path(task_id)}/{verb}", {})
    print_fields(answer, as_json=as_json)


def watch(
    task_id: TaskId,
    config_dir: ConfigDir = None,
    instance: Instance = None,
    as_json: Json = False,
) -> None:
    """Follow a task to its end; exit status 0 only when it is COMPLETED."""
    from shared.cli.client import Client
    from shared.cli.options import load

    leave(_follow(Client(load(config_dir, instance)), task_id, as_json))


def _follow(client: Any, task_id: str, as_json: bool) -> int:
    seen: tuple[Any, ...] | None = None
    while True:
        task = client.fetch(_path(task_id))
        percent = task.get("progress")
        progress = f"{percent:.0f} %" if percent is not None else None
        now = (task.get("status"), progress, task.get("step"), task.get("action"))
        if now != seen:
            seen = now
            words = " ".join(str(part) for part in now if part not in (None, ""))
            typer.echo(json.dumps(task) if as_json else f"{task_id}: {words}")
        if task.get("status") in _ENDED:
            return 0 if task.get("status") == "COMPLETED" else EX_FAILED
        time.sleep(_POLL_S)


def _path(task_id: str) -> str:
    return f"/api/v1/tasks/{quote(task_id, safe='')}"


def _items(page: Any) -> list[Mapping[str, Any]]:
    if isinstance(page, list):
        return page
    for key in ("tasks", "items"):
        if isinstance(page, Mapping) and isinstance(page.get(key), list):
            return list(page[key])
    return []


def _parameters(texts: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values
