"""The Non-RT process: the heart, then configuration, plugins and HTTP; ends in order on SIGTERM.

Before the heart beats only small modules are imported: neither pydantic nor numpy nor FastAPI. RT
is in SAFE_MODE as long as nothing beats, so that the time from exec to the first beat counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nonrt_process.heart import SegmentHeart
from nonrt_process.instance_lock import InstanceLock
from nonrt_process.known_start import KnownStart, digest, known_start
from nonrt_process.stderr_log import log_to_stderr
from shared.clock import SystemClock
from shared.core import MxrcError
from shared.signals import SIGNALS, wait_for_signal
from shared.startup import (
    EX_CONFIG,
    EX_FAILURE,
    EX_OK,
    EX_TEMPFAIL,
    Refused,
    add_options,
    complain,
    default_config_dir,
    load_configuration,
    quick_start,
)

if TYPE_CHECKING:
    from nonrt_process.application import Application
    from nonrt_process.early_drain import EarlyDrain
    from shared.config import Config

PROGRAM: Final = "mxrc-nonrt"
TURN_S: Final = 0.1
DRAIN_STOP_S: Final = 5.0
BEAT_LIMIT_NS: Final = 2_000_000_000
YOUNG_OBJECTS: Final = 10_000
"""So many new ones are there when garbage is looked for. Tasks, rows and spans that wait under load
are no garbage, and going through them again and again held up everything, 0.1 s at a time."""

log = logging.getLogger("nonrt.main")
log.setLevel(logging.INFO)  # what is said to a person does not depend on the log level


def run(arguments: Sequence[str], heart_beats: Callable[[], None]) -> int:
    """Until it is told to stop; returns the exit status. SIGNALS are blocked.

    heart_beats: called once the heart beats, or cannot yet.
    """
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Non-RT process of mxrc: HTTP, metrics, logs, traces, checkpoints.",
        allow_abbrev=False,
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    listener = log_to_stderr()
    try:
        return _run(options, heart_beats)
    except MxrcError as error:
        complain(PROGRAM, str(error))
        return error.status if isinstance(error, Refused) else EX_FAILURE
    except Exception as error:
        from shared.config import ConfigError

        if not isinstance(error, ConfigError):
            raise
        complain(PROGRAM, str(error))
        return EX_CONFIG
    finally:
        listener.stop()


def _run(options: argparse.Namespace, heart_beats: Callable[[], None]) -> int:
    clock = SystemClock()
    early = early_instance(options, os.environ)
    heart = SegmentHeart(early or "", clock, log)
    if early is not None:
        heart.start()
    heart_beats()
    lock: InstanceLock | None = None
    drain: EarlyDrain | None = None
    try:
        with quick_start():
            inputs = digest(options)
            known = None if heart.segment is None else known_start(heart.segment, inputs)
            if known is not None:
                lock = _lock_at_once(known, heart.instance)
            if known is not None and lock is not None:
                drain = _drain_early(known, heart, clock)
            config = load_configuration(options)
            if digest(options) != inputs:
                inputs = None  # Changed meanwhile: nobody knows which of them was read.
        if config.instance_name != heart.instance or known != KnownStart.of(config.paths):
            _end_early(drain, lock)
            drain = lock = None
        if config.instance_name != heart.instance:
            heart.stop()
            heart = SegmentHeart(config.instance_name, clock, log)
            heart.start()
        if lock is None:
            lock = InstanceLock(config.paths.run_dir, config.instance_name)
        heart.claim()
        return _serve(options, config, heart, clock, drain, inputs)
    finally:
        heart.stop()
        _end_early(drain, lock)


def _lock_at_once(known: KnownStart, instance: str) -> InstanceLock | None:
    """None where it is held: what there is to say about that is said after the configuration."""
    with suppress(Refused):
        return InstanceLock(known.run_dir, instance, timeout_ms=0)
    return None


def _drain_early(known: KnownStart, heart: SegmentHeart, clock: SystemClock) -> EarlyDrain:
    from nonrt_process.early_drain import EarlyDrain

    drain = EarlyDrain(known, heart.instance, heart, clock)
    drain.start()
    return drain


def _end_early(drain: EarlyDrain | None, lock: InstanceLock | None) -> None:
    """Idempotent, and nothing to do for a pump that the application has stopped.

    Raises:
        Refused: a write into the log hangs, so that nobody else may begin to write.
    """
    if drain is not None and not drain.pump.stop(DRAIN_STOP_S):
        raise Refused(f"{drain.writer.file.path}: a write hangs: is its disk there?", EX_TEMPFAIL)
    if lock is not None:
        lock.release()


def _serve(
    options: argparse.Namespace,
    config: Config,
    heart: SegmentHeart,
    clock: SystemClock,
    drain: EarlyDrain | None,
    inputs: str | None,
) -> int:
    # The heavy imports; the heart beats meanwhile.
    with quick_start():
        from nonrt_process.application import Application
        from nonrt_process.plugins import EARLY, later_modules
        from nonrt_process.service_manager import ServiceManager

        manager = ServiceManager()
        app = Application(
            config,
            heart,
            clock,
            EARLY,
            lambda: load_configuration(options, runtime_changes=False),
            drain,
            inputs,
        )
        app.start(later_modules(config))
    gc.set_threshold(YOUNG_OBJECTS)
    heart.set_ready(True)
    log.info("ready: instance %s, pid %d", config.instance_name, os.getpid())
    if heart.killed_before is not None:
        log.error(
            "Non-RT process %d did not end in order: it crashed or was killed; this one goes on",
            heart.killed_before,
        )
    manager.ready()
    while True:
        number = wait_for_signal(TURN_S)
        if number == signal.SIGHUP:
            manager.reloading(clock.monotonic_ns())
            log.warning("SIGHUP: %s", app.reload(lambda: load_configuration(options)))
            manager.ready()
        elif number == signal.SIGUSR1:
            app.reopen_logs()
        elif number is not None:
            log.info("%s: stopping", signal.Signals(number).name)
            break
        if clock.monotonic_ns() - heart.last_beat_ns < BEAT_LIMIT_NS and _all_pumps_alive(app):
            manager.alive(clock.monotonic_ns())
    manager.stopping()
    heart.set_ready(False)
    _let_second_signal_kill()
    app.stop()
    log.info("stopped")
    return EX_OK


def _all_pumps_alive(app: Application) -> bool:
    return all(one.alive for one in app.consumers())


def early_instance(options: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    """Name of the instance, read without the configuration registry; None when it cannot be told.

    What the registry says afterwards counts: this one only lets the heart beat 0.3 s earlier.
    """
    default = f"u{os.getuid()}"
    if options.instance is not None:
        return str(options.instance)
    with suppress(OSError, ValueError, TypeError, AttributeError):
        text = environ.get("MXRC_INSTANCE__INSTANCE")
        if text is not None:
            with suppress(ValueError):
                text = json.loads(text)
            return default if text is None else str(text)
        folder: Path = options.config_dir or default_config_dir(environ)
        content = json.loads((folder / "instance.json").read_text(encoding="utf-8"))
        return content.get("instance") or default
    return None


def _let_second_signal_kill() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
