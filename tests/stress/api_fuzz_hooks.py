"""Loaded by schemathesis: what would end the run it is part of is not sent."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """STOP ends the RT process for good, by contract."""
    if (case.path_parameters or {}).get("event") == "stop":
        case.path_parameters["event"] = "pause"
