"""The health plugin: registry, checks of both processes, RT statistics, endpoints."""

from __future__ import annotations

from nonrt_process.consumer import Consumer
from nonrt_process.context import Context
from nonrt_process.health.documents import HealthDocuments
from nonrt_process.health.nonrt_checks import NonRtChecks
from nonrt_process.health.registry import Registry
from nonrt_process.health.router import make_router
from nonrt_process.health.rt_checks import RtChecks
from nonrt_process.health.rt_statistics import RtStatisticsConsumer
from nonrt_process.interfaces import (
    PROCESSES,
    Endpoints,
    HealthRegistry,
    PluginList,
    ProcessName,
    RtStatistics,
)
from nonrt_process.plugins import Plugin


class HealthWatch(Consumer):
    """Looks at the health twice a second, so that changes are logged when nobody asks."""

    name = "health"
    interval_s = 0.5

    def __init__(self, context: Context, registry: Registry) -> None:
        super().__init__()
        self._context = context
        self._registry = registry

    def on_tick(self, now_ns: int) -> None:
        status = {process: self._registry.report(process).status for process in PROCESSES}
        endpoints = self._context.get(Endpoints)
        own: ProcessName = "non_rt_process"
        if endpoints is not None:
            endpoints.set_status(status[own].name)


class HealthPlugin(Plugin):
    """Collects the checks of all plugins when everything is made."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = Registry(context.clock.monotonic_ns, context.log.getChild("health"))
        self._statistics = RtStatisticsConsumer(context.clock)
        documents = HealthDocuments(context)
        super().__init__(
            "health",
            consumers=[self._statistics, HealthWatch(context, self._registry)],
            routers=[make_router(context, self._registry, documents)],
            health_checks=[*RtChecks(context).all(), *NonRtChecks(context).all()],
        )
        context.provide(HealthRegistry, self._registry)
        context.provide(RtStatistics, self._statistics)

    def start(self) -> None:
        for plugin in self._context.require(PluginList).plugins():
            for check in plugin.health_checks:
                self._registry.register(check)


def create(context: Context) -> Plugin:
    """See nonrt_process.plugins."""
    return HealthPlugin(context)
