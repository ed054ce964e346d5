"""Real processes of mxrc in an instance of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from shared.core import MxrcError
from shared.enums import RtState
from shared.segment import Segment
from tests.helpers import ROOT
from tests.unit.config.conftest import copy_files

BIN = Path(sys.executable).parent
PATIENCE_S = 30.0

T = TypeVar("T")
B = TypeVar("B", bound="Beside")


def wait_for(look: Callable[[], T | None], what: str, seconds: float = PATIENCE_S) -> T:
    """What `look` returns once it is neither None nor False; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


PATIENT: Final = {
    "MXRC_FAILOVER_POLICY__RT_PROCESS__STALL_TIMEOUT_MS": "10000",
    "MXRC_RT_SCHEDULE__HEARTBEAT_TIMEOUT_MS": "5000",
}
"""For tests of something else: a machine that is busy for a moment is not taken for a fault."""


class Place:
    """Configuration and folders of an instance."""

    def __init__(self, instance: str, folder: Path) -> None:
        self.instance = instance
        self.folder = folder
        self.config_dir = copy_files(ROOT / "config", folder / "config")
        self.lock = folder / "run" / f"{instance}.lock"
        self.environ = {
            **{name: value for name, value in os.environ.items() if "MXRC_" not in name},
            "MXRC_CONFIG_DIR": str(self.config_dir),
            "MXRC_INSTANCE__INSTANCE": instance,
            "MXRC_INSTANCE__RUN_DIR": str(folder / "run"),
            "MXRC_INSTANCE__LOG_DIR": str(folder / "log"),
            "MXRC_INSTANCE__CHECKPOINT_DIR": str(folder / "checkpoints"),
            "MXRC_INSTANCE__DATA_DIR": str(folder / "data"),
            "MXRC_API__PORT": "0",
            "MXRC_API__METRICS_PORT": "0",
        }

    def segment(self) -> Segment | None:
        """Read-only, None while there is none."""
        try:
            return Segment.attach(self.instance)
        except MxrcError:
            return None

    def shm_files(self) -> list[str]:
        return [path.name for path in Path("/dev/shm").iterdir() if self.instance in path.name]


class Running:
    """A started program; its output goes to a file."""

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        output: Path,
        *,
        cwd: Path | None = None,
    ) -> None:
        self._output = output
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                list(arguments),
                env=dict(environ),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = PATIENCE_S) -> int:
        """Its exit status; fails with its output when it does not end in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end within {seconds} s:\n{self.output}") from None

    def end(self) -> None:
        """SIGTERM if it still runs, SIGKILL if that is not enough."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Beside(threading.Thread):
    """Runs beside the test, as `with Beside()`: `run`, until `ending` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ending = threading.Event()

    def __enter__(self: B) -> B:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.join()


@contextmanager
def started_rt(
    place: Place, *arguments: str, name: str = "rt", prefix: Sequence[str] = ()
) -> Iterator[Running]:
    """`mxrc-rt` of this place, stopped at the end. prefix: a program that starts it."""
    running = Running(
        [*prefix, str(BIN / "mxrc-rt"), *arguments], place.environ, place.folder / f"{name}.out"
    )
    try:
        yield running
    finally:
        running.end()


def wait_for_state(place: Place, running: Running, state: RtState = RtState.RUNNING) -> Segment:
    """The segment once the RT process `running` is PRIMARY in `state`."""

    def look() -> Segment | None:
        assert running.process.poll() is None, f"ended: {running.output}"
        segment = place.segment()
        if segment is None:
            return None
        status = segment.rt_status
        mine = status.pid == running.pid and status.state == state and status.heartbeat_ns
        return segment if mine else None

    return wait_for(look, f"RT state {state.name}")


def run_to_end(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of mxrc that ends by itself."""
    return subprocess.run(
        [str(BIN / arguments[0]), *arguments[1:]],
        env=place.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def kill(running: Running) -> None:
    """SIGKILL, and wait until it is gone."""
    running.signal(signal.SIGKILL)
    running.wait()
