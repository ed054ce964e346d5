"""The two processes of mxrc, started for a benchmark in an instance and folders of their own."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from shared.cli.supervisor import program
from shared.core import MxrcError
from shared.segment import Segment

T = TypeVar("T")


class Running:
    """A started instance; segment is read-only. nonrt is None when only RT was started."""

    def __init__(
        self, segment: Segment, rt: int, nonrt: int | None, environ: Mapping[str, str]
    ) -> None:
        self.segment, self.rt, self.nonrt, self.environ = segment, rt, nonrt, environ


@contextmanager
def running(
    *,
    period_us: int = 1000,
    nonrt: bool = False,
    settings: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Running]:
    """mxrc-rt (and mxrc-nonrt), with mxrc's own configuration but for the period and `settings`.

    settings: MXRC_... by name. prefix: a command that ends in executing what follows it; mxrc-rt
    is started behind it.

    Raises:
        MxrcError: they do not start; with what they said.
    """
    with tempfile.TemporaryDirectory(prefix="mxrc-bench-") as name:
        folder = Path(name)
        environ = {key: value for key, value in os.environ.items() if "MXRC_" not in key}
        instance = f"bench-{os.getpid()}-{secrets.token_hex(3)}"
        environ |= {
            "MXRC_INSTANCE__INSTANCE": f'"{instance}"',
            "MXRC_RT_SCHEDULE__PERIOD_US": str(period_us),
            "MXRC_API__PORT": "0",
            "MXRC_API__METRICS_PORT": "0",
        }
        for one in ("RUN", "LOG", "CHECKPOINT", "DATA"):
            environ[f"MXRC_INSTANCE__{one}_DIR"] = str(folder / one.lower())
        environ |= settings or {}
        output = folder / "output"
        started: list[subprocess.Popen[bytes]] = []

        def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
            with output.open("ab") as file:
                process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
            started.append(process)
            return process

        def said() -> str:
            return output.read_text(errors="replace").strip()[-500:]

        try:
            rt = start([*prefix, *program("mxrc-rt", "rt_process")])
            segment = _wait(lambda: _cycling(instance, rt, 0), said)
            other = None
            if nonrt:
                other = start(program("mxrc-nonrt", "nonrt_process"))
                _wait(lambda: bool(segment.nonrt_status.ready) or None, said)
            yield Running(segment, rt.pid, None if other is None else other.pid, environ)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _cycling(instance: str, rt: subprocess.Popen[bytes], least: int) -> Segment | None:
    if rt.poll() is not None:
        raise MxrcError(f"mxrc-rt ended with status {rt.returncode}")
    try:
        segment = Segment.attach(instance)
    except MxrcError:
        return None
    return segment if segment.rt_status.cycles_run > least else None


def _wait(look: Callable[[], T | None], said: Callable[[], str], seconds: float = 30.0) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = look()
        except MxrcError as error:
            raise MxrcError(f"{error}: {said()}") from None
        if found is not None:
            return found
        time.sleep(0.02)
    raise MxrcError(f"mxrc did not start within {seconds:g} s: {said()}")


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> dict[str, float]:
    """Rss and Pss of a process in MiB; Pss shares out what others map too."""
    found: dict[str, Any] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name] = int(rest.split()[0]) / 1024
    return found
