"""The Non-RT process: the heart, then configuration, plugins and HTTP; ends in order on SIGTERM.

Before the heart beats only small modules are imported: neither pydantic nor numpy nor FastAPI. RT
is in SAFE_MODE as long as nothing beats, so that the time from exec to the first beat counts.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nonrt_process.heart import SegmentHeart
from nonrt_process.stderr_log import log_to_stderr
from shared.clock import SystemClock
from shared.core import ERROR_BYTES, MxrcError, error_buffer, lib, to_text
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
    ensure_directory,
    load_configuration,
    quick_start,
    run_directory_mode,
)

if TYPE_CHECKING:
    from nonrt_process.application import Application
    from shared.config import Config

PROGRAM: Final = "mxrc-nonrt"
TURN_S: Final = 0.1
LOCK_TIMEOUT_MS: Final = 1000
BEAT_LIMIT_NS: Final = 2_000_000_000

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
    try:
        with quick_start():
            config = load_configuration(options)
        if config.instance_name != early:
            heart.stop()
            heart = SegmentHeart(config.instance_name, clock, log)
            heart.start()
        lock = _lock_instance(config)
        heart.claim()
        try:
            return _serve(options, config, heart, clock)
        finally:
            heart.stop()
            lib.mxrc_unlock_file(lock)
    finally:
        heart.stop()


def _serve(
    options: argparse.Namespace, config: Config, heart: SegmentHeart, clock: SystemClock
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
        )
        app.start(later_modules(config))
    heart.set_ready(True)
    log.info("ready: instance %s, pid %d", config.instance_name, os.getpid())
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


def _lock_instance(config: Config) -> int:
    """Descriptor of the lock that makes this the only Non-RT process; the kernel frees it."""
    run_dir = config.paths.run_dir
    ensure_directory(run_dir, "the lock and endpoints files", run_directory_mode(run_dir))
    path = run_dir / f"{config.instance_name}.nonrt.lock"
    error = error_buffer()
    descriptor = int(lib.mxrc_lock_file(bytes(path), LOCK_TIMEOUT_MS, error, ERROR_BYTES))
    if descriptor < 0:
        raise Refused(
            f"{to_text(error)}: another Non-RT process serves instance {config.instance_name}: "
            "stop it, or give this one a name of its own (--instance)",
            EX_TEMPFAIL,
        )
    return descriptor


def _let_second_signal_kill() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
