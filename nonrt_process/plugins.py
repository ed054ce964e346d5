"""The parts of the Non-RT process, in the order in which they are made and started.

Each module has `create(context) -> Plugin`. To add a part: a package, a line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from nonrt_process.consumer import Consumer
from nonrt_process.context import Context

if TYPE_CHECKING:
    from fastapi import APIRouter

    from nonrt_process.interfaces import HealthCheck, MetricSource

EARLY: Final = ("nonrt_process.placement", "nonrt_process.logs.plugin")
"""Started, and draining, before the others are even imported; they must not import FastAPI."""

LATER: Final = (
    "nonrt_process.health.plugin",
    "nonrt_process.traces.plugin",
    "nonrt_process.tasks.plugin",
    "nonrt_process.checkpoints.plugin",
    "nonrt_process.incidents.plugin",
    "nonrt_process.failover.plugin",
    "nonrt_process.metrics.plugin",
    "nonrt_process.api.plugin",
)
MODULES: Final = (*EARLY, *LATER)


class Plugin:
    """One part of the process.

    Life: create(context) of all modules in order (provide services, subscribe to the configuration;
    nothing of another part may be required yet), then start() of all in order, then the pumps of
    all consumers run; the EARLY ones go through all of that before the LATER ones. At the end, in
    reverse order: the pumps of its consumers drain and end, then stop() is called. create and start
    raise shared.startup.Refused (one line for a person).
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

    def stop(self) -> None:
        """Flush and close; returns within a few seconds whatever happens."""


def create_plugins(context: Context, modules: Sequence[str] = MODULES) -> list[Plugin]:
    """Import and make the parts; raises what their create() raises."""
    plugins: list[Plugin] = []
    for path in modules:
        plugin = importlib.import_module(path).create(context)
        assert isinstance(plugin, Plugin), path
        plugins.append(plugin)
    return plugins
