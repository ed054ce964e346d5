"""The addresses in force, where tools look for them: the segment and the endpoints file."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Final

from nonrt_process.consumer import Consumer
from nonrt_process.context import Context
from nonrt_process.run_file import write_run_file
from shared.documents import write_nonrt_document
from shared.segment import Segment

FOLDERS: Final = ("run_dir", "log_dir", "checkpoint_dir", "data_dir")


def endpoints_path(run_dir: Path, instance: str) -> Path:
    """The file of an instance: {"pid", "ports": {name: port}, "urls": {name: url}}."""
    return run_dir / f"{instance}.endpoints.json"


def http_url(host: str, port: int) -> str:
    """URL of an address, IPv6 in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class EndpointsBoard(Consumer):
    """Endpoints; as a consumer without rings it writes the document of each new generation."""

    name = "endpoints"
    interval_s = 0.5

    def __init__(self, context: Context, digest: str | None = None) -> None:
        """digest: of what the folders follow from (known_start.py); None: the next one waits."""
        super().__init__()
        self._context = context
        self._path = endpoints_path(context.config.current.paths.run_dir, context.instance)
        self._ports: dict[str, int] = {}
        self._urls: dict[str, str] = {}
        self._status = "STARTING"
        self._digest = digest
        paths = context.config.current.paths
        self._folders = {name: str(getattr(paths, name)) for name in FOLDERS}
        self._written: dict[str, Any] = {}
        self._lock = threading.Lock()

    def publish(self, name: str, host: str, port: int) -> None:
        with self._lock:
            self._ports[name] = port
            self._urls[name] = http_url(host, port)
            write_run_file(
                self._path, {"pid": os.getpid(), "ports": self._ports, "urls": self._urls}
            )
            self._write_segment()

    def ports(self) -> dict[str, int]:
        with self._lock:
            return dict(self._ports)

    def set_status(self, status: str) -> None:
        """Name of the HealthStatus of this process, for the document."""
        with self._lock:
            self._status = status
            self._write_segment()

    def on_attach(self, segment: Segment) -> None:
        with self._lock:
            self._written = {}
            self._write_segment()

    def close(self) -> None:
        """Remove the file: nothing is served any more."""
        self._path.unlink(missing_ok=True)

    def _write_segment(self) -> None:
        segment = self._context.segment
        document = {
            "pid": os.getpid(),
            "ports": dict(self._ports),
            "status": self._status,
            "folders": self._folders,
            "digest": self._digest,
        }
        if segment is not None and document != self._written:
            write_nonrt_document(segment, document)
            self._written = document
