"""Starting the demo task of `mxrc up --demo` through the API, as anybody would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shared.cli.client import Client
from shared.cli.errors import CommandError, Unavailable
from shared.cli.monitor import Sample
from shared.config import Config

TASK_ID: Final = "demo"
_TIMEOUT_S: Final = 2.0


class Demo:
    """Waits until both processes are healthy, then starts the task once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._done = False
        self._turns = 0

    def look(self, sample: Sample, say: Callable[[str], None]) -> None:
        """Try now and then until it is started or refused for good."""
        self._turns += 1
        if self._done or self._turns % 5 or "http" not in sample.ports:
            return
        if sample.state != "RUNNING" or not sample.nonrt_alive:
            return
        client = Client(self._config, _TIMEOUT_S)
        try:
            if client.get("/health", process="rt_process").status != 200:
                return
            definition = self._config.find_task(TASK_ID)
            mode = definition.mode if definition is not None else "once"
            client.post("/api/v1/task/start", {"task_id": TASK_ID, "mode": mode})
        except Unavailable:
            return
        except CommandError as error:
            if "HTTP 409" not in str(error):
                say(f"the demo task was not started: {error}")
        else:
            say(f"demo task {TASK_ID} started ({mode})")
        self._done = True
