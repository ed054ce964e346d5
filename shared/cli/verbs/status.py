"""`mxrc status`: health of both processes."""

from __future__ import annotations

from typing import Any

import typer

from shared.cli.errors import EX_FAILED, leave
from shared.cli.options import ConfigDir, Instance, Json

_COLUMNS = {
    "process_name": "process",
    "status": "status",
    "pid": "pid",
    "restart_count": "restarts",
    "deadline_miss_count": "misses",
    "cpu_usage_percent": "cpu %",
    "memory_usage_mb": "memory MB",
    "error_message": "reason",
}


def register(app: typer.Typer) -> None:
    """Add `status`."""

    @app.command()
    def status(
        config_dir: ConfigDir = None, instance: Instance = None, as_json: Json = False
    ) -> None:
        """Health of both processes; exit status 0 only when neither is worse than DEGRADED."""
        from shared.cli.client import Client
        from shared.cli.options import load
        from shared.cli.output import print_rows

        client = Client(load(config_dir, instance))
        answers = [client.get("/health", process=name) for name in ("rt_process", "non_rt_process")]
        rows: list[dict[str, Any]] = [
            answer.body if isinstance(answer.body, dict) else {} for answer in answers
        ]
        print_rows(rows, _COLUMNS, as_json=as_json, title=client.url)
        leave(0 if all(answer.status == 200 for answer in answers) else EX_FAILED)
