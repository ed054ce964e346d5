"""`mxrc rt`: events of the RT state machine."""

from __future__ import annotations

from typing import Final

import typer

from shared.cli.options import ConfigDir, Instance, Json

_EVENTS: Final = {
    "start": "READY -> RUNNING.",
    "pause": "RUNNING -> PAUSED: tasks are held.",
    "resume": "PAUSED -> RUNNING: tasks go on.",
    "stop": "Stop the RT process in order; nobody starts it again.",
    "reset": "READY, PAUSED or ERROR -> INIT: begin anew.",
    "safe-mode": "Enter SAFE_MODE: each axis does what robot.json says.",
    "safe-mode-exit": "SAFE_MODE -> PAUSED, or READY if it came from there.",
}


def register(app: typer.Typer) -> None:
    """Add `rt` with a command per event."""
    group = typer.Typer(help="Drive the RT state machine.", no_args_is_help=True)
    for event, text in _EVENTS.items():
        _add(group, event, text)
    app.add_typer(group, name="rt")


def _add(group: typer.Typer, event: str, text: str) -> None:
    @group.command(name=event, help=text)
    def send(
        config_dir: ConfigDir = None, instance: Instance = None, as_json: Json = False
    ) -> None:
        from shared.cli.client import Client
        from shared.cli.options import load
        from shared.cli.output import print_fields

        answer = Client(load(config_dir, instance)).post(f"/api/v1/rt/{event}", {})
        fields = answer if isinstance(answer, dict) else {"event": event, "answer": answer}
        print_fields(fields, as_json=as_json)
