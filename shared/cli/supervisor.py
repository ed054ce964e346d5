"""Child processes, restarted as failover_policy.json says.

Children have sessions of their own: a Ctrl-C reaches `mxrc up` alone, and it stops them in
order; PR_SET_PDEATHSIG stops them too when `mxrc up` is killed. One thread, the main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Final, Protocol

from shared.clock import Clock
from shared.failure_watch import RestartLimit
from shared.startup import EX_CONFIG

_PR_SET_PDEATHSIG: Final = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Policy(Protocol):
    """The part of FailoverPolicy that is needed here."""

    @property
    def restart_delay_ms(self) -> int: ...
    @property
    def max_restart_count(self) -> int: ...
    @property
    def restart_window_sec(self) -> int: ...


class State(Enum):
    """Of a supervised process."""

    RUNNING = "running"
    WAITING = "waiting for its restart"
    STOPPED = "stopped in order"
    REFUSED = "refused its configuration"
    GIVEN_UP = "given up"


class Process(Protocol):
    """The part of subprocess.Popen that is needed here."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int) -> None: ...


Spawn = Callable[[Sequence[str], Mapping[str, str]], Process]


@dataclass
class Child:
    """A supervised process. say: prints a line for a person."""

    name: str
    arguments: Sequence[str]
    environ: Mapping[str, str]
    policy: Policy
    clock: Clock
    spawn: Spawn
    say: Callable[[str], None]
    state: State = State.STOPPED
    status: int | None = None
    restarts: int = 0
    process: Process | None = None
    _limit: RestartLimit = field(init=False)
    _due_ns: int = 0

    def __post_init__(self) -> None:
        self._limit = RestartLimit(lambda: self.policy)

    def start(self) -> None:
        """Start it now."""
        self.process = self.spawn(self.arguments, self.environ)
        self.state = State.RUNNING

    def look(self) -> None:
        """See whether it has ended, and start it again when that is due."""
        if self.state is State.RUNNING and self.process is not None:
            status = self.process.poll()
            if status is not None:
                self._ended(status)
        elif self.state is State.WAITING and self.clock.monotonic_ns() >= self._due_ns:
            self.restarts += 1
            self.start()
            self.say(f"{self.name}: started again, pid {self.pid}")

    def signal(self, number: int) -> None:
        """Pass a signal on, if it runs."""
        if self.state is State.RUNNING and self.process is not None:
            self.process.send_signal(number)

    def reset(self) -> None:
        """Somebody has looked into it: count restarts from zero, start what was given up."""
        self._limit.clear()
        if self.state is State.GIVEN_UP:
            self.start()
            self.say(f"{self.name}: started after a reset, pid {self.pid}")

    def stop_restarting(self) -> None:
        """From now on an end is an end."""
        if self.state is State.WAITING:
            self.state = State.STOPPED

    def end(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """SIGTERM, and SIGKILL if it has not ended after `seconds` or when `hurry` says so."""
        self.stop_restarting()
        if self.state is not State.RUNNING or self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        deadline = self.clock.monotonic_ns() + round(seconds * 1e9)
        while (status := self.process.poll()) is None:
            if self.clock.monotonic_ns() >= deadline or hurry():
                self.say(f"{self.name}: does not stop, killing pid {self.pid}")
                self.process.send_signal(signal.SIGKILL)
                deadline = self.clock.monotonic_ns() + 10_000_000_000
            self.clock.sleep(0.02)
        self.status = status
        self.state = State.STOPPED
        if status:
            self.say(f"{self.name}: {_ending(status)}")

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    def _ended(self, status: int) -> None:
        self.status = status
        if status == 0:
            self.state = State.STOPPED
            self.say(f"{self.name}: stopped in order; it is not started again")
            return
        if status == EX_CONFIG:
            self.state = State.REFUSED
            self.say(f"{self.name}: cannot start as it is configured; not started again")
            return
        now = self.clock.monotonic_ns()
        if self._limit.exhausted(now):
            self.state = State.GIVEN_UP
            self.say(
                f"{self.name}: {_ending(status)}; MANUAL_INTERVENTION: "
                f"{self.policy.max_restart_count} restarts within "
                f"{self.policy.restart_window_sec} s are used up: find the cause in the log, "
                "then `mxrc reset`"
            )
            return
        self._limit.note(now)
        self._due_ns = now + self.policy.restart_delay_ms * 1_000_000
        self.state = State.WAITING
        self.say(f"{self.name}: {_ending(status)}; starting it again")


def _ending(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def program(name: str, module: str) -> list[str]:
    """How to start a program of mxrc: the console script beside this Python, else its module."""
    script = Path(sys.executable).parent / name
    if script.is_file():
        return [str(script)]
    start = f"import sys; sys.path[:1] = []; from {module}.main import main; sys.exit(main())"
    return [sys.executable, "-c", start]


def spawner(stderr: IO[bytes] | int | None = None) -> Spawn:
    """Starts real processes; stderr as for subprocess.Popen."""
    parent = os.getpid()

    def prepare() -> None:
        # Runs between fork and exec; the parent has one thread.
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def spawn(arguments: Sequence[str], environ: Mapping[str, str]) -> Process:
        return subprocess.Popen(
            list(arguments),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509
        )

    return spawn
