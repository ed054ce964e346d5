"""What `mxrc up` does: start, supervise, show, stop in order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

from shared.cli.demo import Demo
from shared.cli.errors import CommandError
from shared.cli.folders import UP_FOLDERS, up_folder
from shared.cli.monitor import Monitor, Sample
from shared.cli.options import load
from shared.cli.screen import PlainScreen, Screen, TableScreen
from shared.cli.supervisor import Child, State, program, spawner
from shared.clock import SystemClock
from shared.config import Config, ConfigError, ConfigStore
from shared.core import ERROR_BYTES, MxrcError, error_buffer, lib
from shared.reset_request import ResetWatch
from shared.segment import SHM_DIRECTORY, Segment, object_name, process_alive
from shared.startup import EX_CONFIG, EX_FAILURE, EX_OK, default_config_dir

TURN_S: Final = 0.1
STOP_RT_S: Final = 15.0
STOP_NONRT_S: Final = 15.0
LOCK_TIMEOUT_MS: Final = 2000


def run(
    config_dir: Path | None, instance: str | None, *, demo: bool, table: bool, standbys: int = 0
) -> int:
    """Until a signal, or until nothing is left to supervise; returns the exit status."""
    directory = config_dir or default_config_dir()
    config = load(directory, instance)
    _refuse_too_many(config, standbys)
    _refuse_running(config.instance_name)
    environ = _environ(config, directory)
    screen: Screen = TableScreen() if table and sys.stdout.isatty() else PlainScreen()
    with _Signals() as signals, screen:
        demonstration = Demo(config, SystemClock()) if demo else None
        read = partial(load, directory, instance)
        return _Up(config, read, environ, screen, signals, demonstration, standbys).run()


def _environ(config: Config, directory: Path) -> dict[str, str]:
    """Environment of the children: folders in ./var where the configuration leaves them open.

    An instance that was given a name has them in ./var/NAME: those of one folder do not mix.
    The instance is named always: the same for both, whatever becomes of the file, and Non-RT beats
    before it can read one.
    """
    environ = dict(os.environ)
    environ["MXRC_CONFIG_DIR"] = str(directory.resolve())
    environ["MXRC_INSTANCE__INSTANCE"] = f'"{config.instance_name}"'
    for field in UP_FOLDERS:
        if getattr(config.instance, field) is None:
            path = up_folder(config.instance, field).resolve()
            environ[f"MXRC_INSTANCE__{field.upper()}"] = str(path)
    return environ


def _refuse_too_many(config: Config, standbys: int) -> None:
    places = config.instance.max_rt_processes
    if standbys + 1 > places:
        raise CommandError(
            f"--standbys {standbys} needs {standbys + 1} RT processes, and "
            f"{config.directory / 'instance.json'}: $.max_rt_processes is {places}: raise it "
            "(8 at most)"
        )


def _refuse_running(instance: str) -> None:
    """Two supervisors of one instance would restart each other's processes."""
    try:
        segment = Segment.attach(instance)
    except MxrcError:
        return  # The RT process says what is wrong with it, if anything is.
    with segment:
        nonrt = segment.nonrt_status
        attached = [("RT", segment.member_struct(index)) for index in range(segment.max_members)]
        for name, process in [*attached, ("Non-RT", nonrt)]:
            if process_alive(int(process.pid), int(process.process_start)):
                raise CommandError(
                    f"instance {instance} is running already ({name} process {int(process.pid)}): "
                    "stop it, or choose another --instance"
                )


class _Signals:
    """Counts requests to stop; SIGHUP without a terminal asks for a reload."""

    def __init__(self) -> None:
        self.stops = 0
        self.reload = False
        self._terminal = sys.stdin is not None and sys.stdin.isatty()
        self._old: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Explicit handlers: a background shell hands SIGINT down as ignored.
            self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and not self._terminal:
            self.reload = True
        else:
            self.stops += 1


class _Up:
    def __init__(
        self,
        config: Config,
        read: Callable[[], Config],
        environ: dict[str, str],
        screen: Screen,
        signals: _Signals,
        demo: Demo | None,
        standbys: int,
    ) -> None:
        self._config = config
        self._store, self._read = ConfigStore(config), read
        self._screen = screen
        self._signals = signals
        self._demo = demo
        self._clock = SystemClock()
        self._monitor = Monitor(config.instance_name)
        self._generations: set[int] = set()
        self._ports: dict[str, int] = {}
        spawn = spawner(screen.child_stderr)

        def child(name: str, script: str, module: str, policy: Any) -> Child:
            arguments = program(script, module)
            return Child(name, arguments, environ, policy, self._clock, spawn, screen.say)

        failover = config.failover_policy
        names = ["rt_process", *(f"rt_process {index + 2}" for index in range(standbys))]
        # Which of them is PRIMARY may change at any time.
        self._rts = [child(name, "mxrc-rt", "rt_process", failover.rt_process) for name in names]
        self._nonrt = child("nonrt_process", "mxrc-nonrt", "nonrt_process", failover.non_rt_process)
        self._ever_ran = False
        self._resets = ResetWatch(self._run_dir(), config.instance_name)

    @property
    def _children(self) -> list[Child]:
        return [*self._rts, self._nonrt]

    def run(self) -> int:
        self._screen.say(f"instance {self._config.instance_name}: starting; Ctrl-C stops it")
        try:
            for child in self._children:
                child.start()
            while not self._signals.stops and not self._hopeless():
                self._turn()
        finally:
            self._stop()
        return self._status()

    def _turn(self) -> None:
        self._screen.wait(TURN_S)
        for child in self._children:
            child.look()
        if self._signals.reload:
            self._signals.reload = False
            self._read_policy()
            for child in self._children:
                child.signal(signal.SIGHUP)
        if self._resets.requested():
            for child in self._children:
                child.reset()
        sample = self._monitor.sample()
        if sample is None:
            return
        self._generations.add(sample.generation)
        if sample.rt_pid in [child.pid for child in self._rts] and sample.cycles_run:
            self._ever_ran = True
        self._show_urls(sample)
        if self._demo is not None:
            self._demo.look(sample, self._screen.say)
        self._screen.show(sample)

    def _read_policy(self) -> None:
        """How often and how soon children are started again; refused as a whole as they refuse."""
        try:
            self._store.propose(self._read())
        except ConfigError as error:
            for line in f"SIGHUP: restarts go on as before: {error}".splitlines():
                self._screen.say(line)
            return
        policy = self._store.current.failover_policy
        for child in self._rts:
            child.policy = policy.rt_process
        self._nonrt.policy = policy.non_rt_process

    def _show_urls(self, sample: Sample) -> None:
        if not sample.ports or sample.ports == self._ports or not sample.nonrt_alive:
            return
        self._ports = sample.ports
        for text in urls(self._config, sample.ports):
            self._screen.say(text)

    def _hopeless(self) -> bool:
        """Nothing runs, or what has to run refused before it ever ran."""
        states = [child.state for child in self._children]
        if State.REFUSED in states:
            return True
        given_up = all(child.state is State.GIVEN_UP for child in self._rts)
        if given_up and not self._ever_ran:
            return True
        return all(state not in (State.RUNNING, State.WAITING) for state in states)

    def _stop(self) -> None:
        """RT first, so that the arm comes to rest while Non-RT still listens and records."""
        asked = self._signals.stops

        def hurry() -> bool:
            return self._signals.stops > asked

        self._screen.say("stopping in order; once more kills")
        for child in self._children:
            child.stop_restarting()
        for child in self._primary_first():
            child.end(STOP_RT_S, hurry)
        self._nonrt.end(STOP_NONRT_S, hurry)
        self._monitor.close()
        self._remove_leftover()
        self._screen.say("stopped")

    def _primary_first(self) -> list[Child]:
        """Its STOP ends them all; a STANDBY that is asked first ends alone."""
        sample = self._monitor.sample()
        primary = 0 if sample is None else sample.rt_pid
        return sorted(self._rts, key=lambda child: child.pid != primary)

    def _remove_leftover(self) -> None:
        """A generation of this run whose RT process was killed: nobody else removes it."""
        instance = self._config.instance_name
        try:
            with Segment.attach(instance) as segment:
                generation = segment.generation
        except MxrcError:
            return
        if generation not in self._generations:
            return
        with self._instance_lock() as held, contextlib.suppress(FileNotFoundError):
            if held and not _alive(instance):
                (SHM_DIRECTORY / object_name(instance).lstrip("/")).unlink()
                self._screen.say("removed the segment of the RT process that was killed")

    def _run_dir(self) -> Path:
        """As the children have it."""
        return Path(self._nonrt.environ.get("MXRC_INSTANCE__RUN_DIR", self._config.paths.run_dir))

    @contextlib.contextmanager
    def _instance_lock(self) -> Iterator[bool]:
        """The lock under which generations are made and replaced; False: not to be had."""
        path = self._run_dir() / f"{self._config.instance_name}.lock"
        error = error_buffer()
        descriptor = lib.mxrc_lock_file(bytes(path), LOCK_TIMEOUT_MS, error, ERROR_BYTES)
        try:
            yield descriptor >= 0
        finally:
            if descriptor >= 0:
                lib.mxrc_unlock_file(descriptor)

    def _status(self) -> int:
        states = [child.state for child in self._children]
        if State.REFUSED in states:
            return EX_CONFIG
        failed = State.GIVEN_UP in states
        return EX_FAILURE if failed else EX_OK


def _alive(instance: str) -> bool:
    try:
        _refuse_running(instance)
    except CommandError:
        return True
    return False


def urls(config: Config, ports: dict[str, int]) -> list[str]:
    """Lines with the URLs in force; a port that is not the configured one says so."""
    api = config.api
    places = [
        ("http", api.host, api.port, ("/", "/health")),
        ("metrics", api.metrics_host, api.metrics_port, ("/metrics",)),
    ]
    lines = []
    for name, host, configured, paths in places:
        port = ports.get(name)
        if port is None:
            continue
        taken = f"   (port {configured} was taken)" if configured not in (0, port) else ""
        shown = f"[{host}]" if ":" in host else host
        lines += [f"http://{shown}:{port}{path}{taken}" for path in paths]
    return lines
