"""The demo of `mxrc up --demo`: a run of the demo task whenever the machine has nothing else to do.

Started through the API, as anybody would. One run at a time rather than a periodic task: the axes
are free between runs, so that what a person starts gets its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shared.cli.client import Client
from shared.cli.errors import CommandError, RequestRefused, Unavailable
from shared.cli.monitor import Sample
from shared.clock import Clock
from shared.config import Config

TASK_ID: Final = "demo"
IDLE_NS: Final = 2_000_000_000
"""So long nothing has to be active before a run is started."""
_TIMEOUT_S: Final = 2.0


class Demo:
    """Starts a run each time the machine has been idle for IDLE_NS. One thread."""

    def __init__(self, config: Config, clock: Clock, client: Client | None = None) -> None:
        self._config = config
        self._clock = clock
        self._client = client
        self._idle_since_ns: int | None = None
        self._began = False
        self._refused = False

    def look(self, sample: Sample, say: Callable[[str], None]) -> None:
        """Start a run if it is time. A refusal that will not pass is said, and ends the demo."""
        idle = sample.state == "RUNNING" and sample.nonrt_alive and sample.active_tasks == 0
        if self._refused or not idle or "http" not in sample.ports:
            self._idle_since_ns = None
            return
        now = self._clock.monotonic_ns()
        if self._idle_since_ns is None:
            self._idle_since_ns = now
        if self._began and now - self._idle_since_ns < IDLE_NS:
            return
        self._idle_since_ns = now
        self._start(say)

    def _start(self, say: Callable[[str], None]) -> None:
        client = self._client or Client(self._config, _TIMEOUT_S)
        try:
            client.post("/api/v1/task/start", {"task_id": TASK_ID, "mode": "once"})
        except Unavailable:
            return
        except CommandError as error:
            status = error.http_status if isinstance(error, RequestRefused) else 0
            # 409: of a run before it, on its way to RT; the others are of a busy machine.
            if status not in (409, 429) and status < 500:
                self._refused = True
                say(f"the demo task was not started: {error}")
            return
        if not self._began:
            self._began = True
            say(f"demo task {TASK_ID} started; it runs again whenever nothing else does")
