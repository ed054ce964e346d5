"""MANUAL_INTERVENTION: the restart limit is used up, a person has to look. Kept over restarts."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from shared.clock import Clock
from shared.config.json_write import write_json


class Intervention:
    """In force from `demand` until `lift`; a file remembers it."""

    def __init__(self, path: Path, clock: Clock, log: logging.Logger) -> None:
        self._path = path
        self._clock = clock
        self._log = log
        self._reason = ""
        self._since = ""

    @property
    def reason(self) -> str:
        """Why; empty when none is in force."""
        return self._reason

    @property
    def since(self) -> str:
        """RFC 3339; empty when none is in force."""
        return self._since

    def load(self) -> None:
        """What an earlier process of this instance has left."""
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._log.error("%s cannot be read: %s", self._path, error)
            content = {"reason": f"{self._path} cannot be read, so that the worst is assumed"}
        if isinstance(content, dict) and isinstance(content.get("reason"), str):
            self._reason = content["reason"]
            self._since = str(content.get("since", ""))

    def demand(self, reason: str) -> None:
        """Stop trying."""
        now = datetime.fromtimestamp(self._clock.realtime_ns() / 1e9, timezone.utc)
        self._reason, self._since = reason, now.isoformat(timespec="milliseconds")
        self._log.critical("MANUAL_INTERVENTION: %s", reason)
        try:
            write_json(self._path, {"reason": reason, "since": self._since})
        except OSError as error:
            self._log.error("%s cannot be written: %s", self._path, error.strerror)

    def lift(self) -> None:
        """A person has looked."""
        self._reason = self._since = ""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self._log.error("%s cannot be removed: %s", self._path, error.strerror)
