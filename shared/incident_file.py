"""Files of the flight recorder: what a late cycle, SAFE_MODE or ERROR left, before and after.

DATA_DIR/incidents/INSTANCE-ID.json.gz: gzip of one JSON document. `head` says what happened,
`cycles`, `events` and `spans` are columns as in shared.inspector.rows, `times` the wall-clock ns of
their rows.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.core import MxrcError
from shared.inspector.export.recording import Recording

FOLDER: Final = "incidents"
VERSION: Final = 1
MOST_BYTES: Final = 64 << 20
"""No file has more when it is unpacked."""

_NAME: Final = re.compile(
    r"^(?P<instance>[a-z0-9][a-z0-9_.-]{0,31})-(?P<id>\d+T\d+-\d+)\.json\.gz$"
)


class IncidentUnreadable(MxrcError):
    """The file is not there or is damaged; the message names it."""

    status = 1


@dataclass(frozen=True, slots=True)
class Incident:
    """head: id, time, why, cycle, late (each late cycle with its causes), counts, trace ids."""

    path: Path
    head: dict[str, Any]
    document: dict[str, Any]

    def recording(self) -> Recording:
        """For the exporters."""
        times = {name: np.array(self.document["times"][name], np.uint64) for name in _KINDS}
        return Recording(
            instance=self.head["instance"],
            generation=self.head["generation"],
            period_us=self.head["period_us"],
            axes=tuple(self.head["axes"]),
            cycles=self.document["cycles"],
            events=self.document["events"],
            spans=self.document["spans"],
            cycle_times=times["cycles"],
            event_times=times["events"],
            span_times=times["spans"],
            lost=self.head["lost"],
        )


_KINDS: Final = ("cycles", "events", "spans")


def files(folder: Path, instance: str) -> list[Path]:
    """The incidents of an instance, oldest first."""
    try:
        found = [
            path
            for path in folder.iterdir()
            if (match := _NAME.match(path.name)) and match["instance"] == instance
        ]
    except FileNotFoundError:
        return []
    return sorted(found)


def id_of(path: Path) -> str:
    """The incident's id, "" for a file of another kind."""
    match = _NAME.match(path.name)
    return match["id"] if match else ""


def write(folder: Path, head: dict[str, Any], recording: Recording) -> Path:
    """The whole file or none, mode 0640."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    document = {
        "version": VERSION,
        "head": head,
        "cycles": recording.cycles,
        "events": recording.events,
        "spans": recording.spans,
        "times": {
            "cycles": recording.cycle_times.tolist(),
            "events": recording.event_times.tolist(),
            "spans": recording.span_times.tolist(),
        },
    }
    path = folder / f"{head['instance']}-{head['id']}.json.gz"
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o640)
            file.write(gzip.compress(json.dumps(document).encode(), 6))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return path


def read(path: Path) -> Incident:
    """An incident.

    Raises:
        IncidentUnreadable: see there.
    """
    try:
        with gzip.open(path, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise IncidentUnreadable(f"{path}: is larger than {MOST_BYTES} bytes")
        document = json.loads(raw)
        if document["version"] != VERSION:
            raise IncidentUnreadable(
                f"{path}: has version {document['version']}, this mxrc reads {VERSION}"
            )
        return Incident(path, document["head"], document)
    except OSError as error:
        raise IncidentUnreadable(f"{path}: {error.strerror or error}") from None
    except (EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise IncidentUnreadable(f"{path}: is damaged: {type(error).__name__}") from None


def prune(folder: Path, instance: str, most: int, most_bytes: int) -> int:
    """Delete the oldest beyond a number or a total size, never the newest; how many went."""
    gone, total = 0, 0
    for index, path in enumerate(reversed(files(folder, instance))):
        total += path.stat().st_size
        if index and (index >= most or total > most_bytes):
            path.unlink(missing_ok=True)
            gone += 1
    return gone
