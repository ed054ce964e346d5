"""Runs the checks of a virtual machine, in it, and writes down what came of each."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def run_checks(checks: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """usage: FILE [CHECK...]; all of them without a name. FILE has what is known after each."""
    target, results = Path(sys.argv[1]), dict[str, Any]()
    for name in sys.argv[2:] or checks:
        begin = time.monotonic()
        try:
            results[name] = checks[name]()
        except Exception:  # noqa: BLE001 - the others are wanted all the same
            results[name] = {"failed": traceback.format_exc()}
        results[name]["seconds"] = round(time.monotonic() - begin, 1)
        print(name, results[name]["seconds"], flush=True)
        target.write_text(json.dumps(results, indent=1))
