"""The parts of the Non-RT process, in the order in which they are made and started.

Each module has `create(context) -> Plugin`. To add a part: a package, a line here.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nonrt_process.consumer import Consumer
from nonrt_process.context import Context
from shared.config.errors import ConfigError
from shared.config.json_file import read_file
from shared.startup import Refused

if TYPE_CHECKING:
    from fastapi import APIRouter

    from nonrt_process.interfaces import HealthCheck, MetricSource
    from shared.config import Config

EARLY: Final = (
    "nonrt_process.placement",
    "nonrt_process.memory_policy",
    "nonrt_process.logs.plugin",
)
"""Started, and draining, before the others are even imported; they must not import FastAPI."""

LATER: Final = (
    "nonrt_process.health.plugin",
    "nonrt_process.traces.plugin",
    "nonrt_process.tasks.plugin",
    "nonrt_process.event_bus.plugin",
    "nonrt_process.checkpoints.plugin",
    "nonrt_process.incidents.plugin",
    "nonrt_process.failover.plugin",
    "nonrt_process.metrics.plugin",
    "nonrt_process.api.plugin",
)
MODULES: Final = (*EARLY, *LATER)
AFTER_USERS: Final = 2
"""Of LATER: those that serve what all others, the user's among them, contribute."""


def later_modules(config: Config) -> tuple[str, ...]:
    """LATER with the files of event_bus.json in their place."""
    files = tuple(str(config.directory / path) for path in config.event_bus.plugins)
    return (*LATER[:-AFTER_USERS], *files, *LATER[-AFTER_USERS:])


class Plugin:
    """One part of the process.

    Life: create(context) of all modules in order (provide services, subscribe to the configuration;
    nothing of another part may be required yet), then start() of all in order, then the pumps of
    all consumers run; the EARLY ones go through all of that before the LATER ones. Then
    all_started() of all. At the end, in reverse order: the pumps of its consumers drain and end,
    then stop() is called. create, start and all_started raise shared.startup.Refused (one line for
    a person).
    """

    def __init__(
        self,
        name: str,
        *,
        consumers: Sequence[Consumer] = (),
        routers: Sequence[APIRouter] | Callable[[], Sequence[APIRouter]] = (),
        health_checks: Sequence[HealthCheck] = (),
        metrics: Sequence[MetricSource] = (),
    ) -> None:
        self.name = name
        self.consumers = tuple(consumers)
        self._routers = routers
        self.health_checks = tuple(health_checks)
        self.metrics = tuple(metrics)

    @property
    def routers(self) -> Sequence[APIRouter]:
        """Made when they are asked for, where `routers` is a function: what imports FastAPI."""
        if callable(self._routers):
            self._routers = tuple(self._routers())
        return self._routers

    def start(self) -> None:
        """Open files, start threads; services of the other parts are there."""

    def all_started(self) -> None:
        """Every part has started, its pumps too. Raises as start does."""

    def stop(self) -> None:
        """Flush and close; returns within a few seconds whatever happens."""


def create_plugins(context: Context, modules: Sequence[str] = MODULES) -> list[Plugin]:
    """Import and make the parts; raises what their create() raises. A module may be a file."""
    plugins: list[Plugin] = []
    for path in modules:
        if path.endswith(".py"):
            plugins.append(create_from_file(context, Path(path)))
            continue
        plugin = importlib.import_module(path).create(context)
        assert isinstance(plugin, Plugin), path
        plugins.append(plugin)
    return plugins


def create_from_file(context: Context, path: Path) -> Plugin:
    """A plugin of the user's. It may do what this process may.

    Raises:
        Refused: not to be trusted, not to be run, or not a plugin; one line for a person.
    """
    where = "event_bus.json: $.plugins"
    try:
        content, _ = read_file(path)
        owner = path.stat().st_uid
    except (ConfigError, OSError) as error:
        raise Refused(f"{where}: {error}") from error
    if owner not in (0, os.geteuid()):
        raise Refused(
            f"{where}: {path} belongs to user {owner}: it runs in this process and must belong to "
            f"its user or to root: chown it, or name another file"
        )
    module = types.ModuleType(f"mxrc_plugin_{path.stem}")
    module.__file__ = str(path)
    # Where inspect, pickle and the definitions of data classes look for it.
    sys.modules[module.__name__] = module
    try:
        exec(compile(content, path, "exec"), module.__dict__)  # noqa: S102 - what it is for
        plugin = module.create(context)
    except Refused:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise Refused(
            f"{where}: {path}{_line_of(error, path)}: {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(plugin, Plugin):
        raise Refused(f"{where}: {path}: create(context) must return a Plugin, not {plugin!r:.80}")
    return plugin


def _line_of(error: Exception, path: Path) -> str:
    """The innermost place in the user's file, as ', line N'."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [
        one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == str(path)
    ]
    return f", line {lines[-1]}" if lines else ""
