"""What the checks in the machine look at and wait for: units, segment, API."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.core import MxrcError
from shared.documents import read_primary_document
from shared.enums import RtState
from shared.segment import Segment

RT, NONRT = "mxrc-rt.service", "mxrc-nonrt.service"
PATIENCE_S = 600.0
LOOK_S = 0.4  # seldom: looking takes the time of CPUs that are emulated
ASK_S = 2.0  # and asking over HTTP much more
ENDPOINTS = Path("/run/mxrc/main.endpoints.json")


def run(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return {"status": done.returncode, "output": done.stdout + done.stderr}


def edit(folder: Path, file: str, part: str | None, values: dict[str, Any]) -> None:
    path = folder / f"{file}.json"
    content = json.loads(path.read_text())
    (content if part is None else content[part]).update(values)
    path.write_text(json.dumps(content))


def show(unit: str, *names: str) -> dict[str, str]:
    text = run("systemctl", "show", unit, *(f"-p{name}" for name in names))["output"]
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def restarts(unit: str) -> int:
    return int(show(unit, "NRestarts")["NRestarts"])


def journal(unit: str) -> str:
    return str(run("journalctl", "-u", unit, "-o", "short-monotonic", "--no-pager")["output"])


class _Known:
    """The segment that was looked at last: attaching costs more than reading."""

    segment: Segment | None = None


def attached() -> Segment:
    """The segment of now. Raises MxrcError while there is none."""
    if _Known.segment is None or not _Known.segment.current():
        _Known.segment = Segment.attach("main")
    return _Known.segment


def state() -> dict[str, Any]:
    """What the segment says; {} while there is none."""
    try:
        segment = attached()
        status, nonrt = segment.rt_status, segment.nonrt_status
        return {
            "pid": int(status.pid),
            "tid": int(status.tid),
            "state": RtState(status.state).name,
            "cycle": int(status.cycle),
            "run": int(status.cycles_run),
            "recovery": int(status.last_recovery),
            "generation": segment.generation,
            "epoch": int(status.epoch),
            "nonrt": int(nonrt.pid),
            "ready": int(nonrt.ready),
        }
    except (MxrcError, ValueError):
        return {}


def document() -> dict[str, Any]:
    """Status document of the PRIMARY."""
    found: dict[str, Any] = read_primary_document(attached())
    return found


def wait(look: Callable[[], Any], seconds: float = PATIENCE_S, between_s: float = LOOK_S) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(between_s)
    return None


def running(other_than: int = 0, beyond: int = -1) -> dict[str, Any]:
    """Once RT is in RUNNING, with more than `beyond` cycles run in this generation.

    When it does not get so far: what was there.
    """

    def look() -> dict[str, Any] | None:
        now = state()
        good = now.get("state") == "RUNNING" and now["pid"] not in (0, other_than)
        good = good and now["run"] > beyond
        return now if good and Path(f"/proc/{now['pid']}").exists() else None

    return wait(look) or {"never": state(), "journal": journal(RT)[-3000:]}


def serving(other_than: int = 0) -> dict[str, Any]:
    """Once Non-RT is ready; {} when it does not get so far."""

    def look() -> dict[str, Any] | None:
        now = state()
        return now if now.get("ready") and now["nonrt"] not in (0, other_than) else None

    return wait(look) or {}


def ask(path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """GET, or POST of a body, of the API; once somebody listens."""
    data = None if body is None else json.dumps(body).encode()

    def look() -> dict[str, Any] | None:
        url = json.loads(ENDPOINTS.read_text())["urls"]["http"] + path
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.URLError as error:
            if isinstance(error.reason, ConnectionRefusedError):
                return None
            raise
        return found

    found: dict[str, Any] = wait(look, between_s=ASK_S)
    return found


def open_files(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(str(link.readlink()))
    return found


def threads(pid: int) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        tid = int(folder.name)
        found[tid] = [os.sched_getscheduler(tid), os.sched_getparam(tid).sched_priority]
    return found
