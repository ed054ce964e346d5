"""Everything but the heart: the services of the frame, the plugins, their pumps, in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from nonrt_process.changes import Changes, ReadFiles
from nonrt_process.commands import RtCommandPort
from nonrt_process.consumer import Consumer
from nonrt_process.context import Context, Heart
from nonrt_process.early_drain import EarlyDrain
from nonrt_process.endpoints import EndpointsBoard
from nonrt_process.interfaces import (
    CommandPort,
    ConsumerFigures,
    ConsumerMonitor,
    Endpoints,
    Lifecycle,
    LogFiles,
    PluginList,
    RuntimePlacement,
    RuntimeSettings,
)
from nonrt_process.plugins import MODULES, Plugin, create_plugins
from nonrt_process.pump import Pump
from nonrt_process.settings import ControlSettings
from shared.clock import Clock
from shared.config import Change, Config, ConfigError, ConfigStore

PUMP_STOP_S = 5.0


class Application:
    """Made and started once. Provides ConsumerMonitor, PluginList and Lifecycle itself."""

    def __init__(
        self,
        config: Config,
        heart: Heart,
        clock: Clock,
        modules: Sequence[str] = MODULES,
        read_files: ReadFiles | None = None,
        early: EarlyDrain | None = None,
        digest: str | None = None,
    ) -> None:
        """early: runs already; the part of its consumer goes on with it. digest: of known_start."""
        self.context = Context(ConfigStore(config), clock, heart)
        self._log = self.context.log.getChild("main")
        self._started = False
        self._endpoints = EndpointsBoard(self.context, digest)
        settings = ControlSettings(self.context)
        self._frame_pumps = [Pump(self.context, one) for one in (settings, self._endpoints)]
        self._plugins: list[Plugin] = []
        self._pumps: dict[str, list[Pump]] = {}
        self._early = early
        if early is not None:
            self.context.provide(EarlyDrain, early)
        self.context.provide(ConsumerMonitor, self)
        self.context.provide(PluginList, self)
        self.context.provide(Lifecycle, self)
        self.context.provide(Endpoints, self._endpoints)
        self.context.provide(RuntimeSettings, settings)
        self.context.provide(RuntimePlacement, Changes(self.context, read_files))
        self.context.provide(CommandPort, RtCommandPort(self.context))
        self._create(modules)

    def plugins(self) -> Sequence[Plugin]:
        return self._plugins

    def consumers(self) -> Sequence[ConsumerFigures]:
        return [pump.figures() for pump in self._all_pumps()]

    def started(self) -> bool:
        return self._started

    def start(self, later: Sequence[str] = ()) -> None:
        """Start the plugins in order, then all pumps; when one refuses the others are stopped.

        later: modules that are imported and made only when the first ones drain.
        """
        try:
            for pump in self._frame_pumps:
                pump.start()
            self._start(self._plugins)
            if later:
                self._start(self._create(later))
            for plugin in self._plugins:
                plugin.all_started()
        except BaseException:
            self.stop()
            raise
        self._started = True

    def stop(self) -> None:
        """Stop in reverse order; each consumer reads what is left first. Never raises."""
        self.context.stopping.set()
        for plugin in reversed(self._plugins):
            for pump in reversed(self._pumps.get(plugin.name, [])):
                self._end(pump)
            self._guard(f"stop of {plugin.name}", plugin.stop)
        for pump in self._frame_pumps:
            self._end(pump)
        self._guard("removal of the endpoints file", self._endpoints.close)

    def reload(self, load: Callable[[], Config]) -> str:
        """Read the configuration again and put it in force; returns a line for a person.

        What is refused leaves the old configuration in force.
        """
        try:
            changes = self.context.config.propose(load())
        except ConfigError as error:
            for problem in error.problems:
                self._log.error("Configuration change refused: %s", problem)
            return f"configuration refused, {len(error.problems)} problems, the old one stays"
        except Exception as error:  # noqa: BLE001 - a fault of one part must not end the others
            self._log.exception("A part failed to take over the new configuration")
            return f"configuration in force, but a part failed to take it over: {error}"
        for change in changes:
            self._log.warning("Configuration changed: %s", _shown(change))
        return f"configuration read again, {len(changes)} changes in force"

    def reopen_logs(self) -> None:
        """Begin the log files anew at their paths (SIGUSR1, after logrotate has moved them)."""
        files = self.context.get(LogFiles)
        if files is not None:
            files.reopen()
            self._log.info("Log files are opened again")

    def _create(self, modules: Sequence[str]) -> list[Plugin]:
        made = create_plugins(self.context, modules)
        pumps = dict(self._pumps)
        for plugin in made:
            own = [self._pump(consumer) for consumer in plugin.consumers]
            pumps[plugin.name] = [*pumps.get(plugin.name, []), *own]
        # New ones instead of changed ones: who looks at them meanwhile has either.
        self._plugins = [*self._plugins, *made]
        self._pumps = pumps
        return made

    def _pump(self, consumer: Consumer) -> Pump:
        if self._early is not None and self._early.pump.consumer is consumer:
            return self._early.pump
        return Pump(self.context, consumer)

    def _start(self, plugins: Sequence[Plugin]) -> None:
        for plugin in plugins:
            plugin.start()
        for plugin in plugins:
            for pump in self._pumps[plugin.name]:
                pump.start()

    def _all_pumps(self) -> list[Pump]:
        return [*self._frame_pumps, *(pump for pumps in self._pumps.values() for pump in pumps)]

    def _end(self, pump: Pump) -> None:
        if not pump.stop(PUMP_STOP_S):
            self._log.error("Consumer %s did not end within %g s", pump.consumer.name, PUMP_STOP_S)

    def _guard(self, what: str, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001 - the others are stopped all the same
            self._log.log(logging.ERROR, "%s failed: %s", what, error, exc_info=error)


def _shown(change: Change) -> str:
    return f"{change.section}.json {change.json_path}: {change.old} -> {change.new}"
