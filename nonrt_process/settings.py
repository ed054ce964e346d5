"""Log levels and sampling rates in force: from the configuration into the control region.

RT reads the region every cycle. A change over HTTP is a change of the configuration in memory
(ConfigStore): SIGHUP and HTTP go one way. It is kept beside the data of the instance
(RuntimePlacement.keep) and lasts across restarts, but for a level that is set for some minutes:
afterwards, or after a restart, what was there before is in force again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from nonrt_process.consumer import Consumer
from nonrt_process.context import Context
from nonrt_process.interfaces import InvalidSetting, RuntimePlacement, SamplingGovernor
from shared.config import Config, ConfigError
from shared.config.models.logging import LoggingConfig
from shared.config.models.tracing_config import TracingConfig
from shared.control import fill_control, level_of
from shared.events import loggers
from shared.segment import Segment

RATES = ("sampling_rate", "task_sampling_rate", "rt_cycle_sampling_rate")


_NS_PER_MINUTE = 60_000_000_000


@dataclass(frozen=True, slots=True)
class _Temporary:
    """A level that was set for some time. until_ns: CLOCK_MONOTONIC."""

    level: str
    before: str | None
    until_ns: int


class ControlSettings(Consumer):
    """RuntimeSettings; as a consumer without rings it fills the region of each generation."""

    name = "settings"
    interval_s = 0.2

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._lock = threading.Lock()
        self._changing = threading.RLock()
        self._temporary: dict[str, _Temporary] = {}
        """By logger; "": the general level."""
        self._own_change = False
        context.config.subscribe("logging", commit=lambda _old, _new: self._levels_changed())
        context.config.subscribe("tracing_config", commit=lambda _old, _new: self.apply())

    def on_attach(self, segment: Segment) -> None:
        self.apply()

    def apply(self) -> None:
        """Write what is configured now into the segment, if there is one."""
        segment = self._context.segment
        if segment is None:
            return
        config = self._context.config.current
        with self._lock:
            fill_control(segment, config.logging, config.tracing_config)

    def _levels_changed(self) -> None:
        if not self._own_change:  # SIGHUP or a reset: what was set for some time is over
            self._temporary.clear()
        self.apply()

    def log_levels(self) -> dict[str, Any]:
        config = self._context.config.current.logging
        now_ns = self._context.clock.monotonic_ns()
        with self._changing:
            temporary = {
                name or "level": {
                    "seconds_left": max(0, (one.until_ns - now_ns) // 1_000_000_000),
                    "then": one.before,
                }
                for name, one in self._temporary.items()
            }
        return {
            "level": config.level,
            "loggers": dict(config.loggers),
            "rt_loggers": {name: level_of(config, name).name.lower() for name in loggers()},
            "temporary": temporary,
        }

    def set_log_levels(
        self, level: str | None, entries: Mapping[str, str | None], minutes: float | None = None
    ) -> None:
        changes = {**({"": level} if level is not None else {}), **entries}
        if minutes is not None and None in changes.values():
            raise InvalidSetting("loggers: give a level; null cannot be for some minutes only")
        with self._changing:
            before = self._levels()
            self._change_levels(changes)
            now_ns = self._context.clock.monotonic_ns()
            for name, value in changes.items():
                earlier = self._temporary.pop(name, None)
                if minutes is not None and value is not None:
                    kept = earlier.before if earlier is not None else before.get(name)
                    until_ns = now_ns + round(minutes * _NS_PER_MINUTE)
                    self._temporary[name] = _Temporary(value, kept, until_ns)
        placement = self._context.get(RuntimePlacement)
        if placement is not None and changes and minutes is None:
            own: dict[str, Any] = {"level": level} if level is not None else {}
            placement.keep({"logging": {**own, **({"loggers": dict(entries)} if entries else {})}})

    def on_tick(self, now_ns: int) -> None:
        """Levels whose time is up become what they were, unless somebody has changed them since."""
        if not self._temporary:
            return
        with self._changing:
            over = {name: one for name, one in self._temporary.items() if now_ns >= one.until_ns}
            levels = self._levels()
            back = {name: one.before for name, one in over.items() if levels.get(name) == one.level}
            for name in over:
                del self._temporary[name]
            if back:
                self._change_levels(back)

    def _levels(self) -> dict[str, str]:
        config = self._context.config.current.logging
        return {"": config.level, **config.loggers}

    def _change_levels(self, changes: Mapping[str, str | None]) -> None:
        content = self._context.config.current.logging.model_dump(by_alias=True)
        for name, value in changes.items():
            if not name:
                content["level"] = value
            elif value is None:
                content["loggers"].pop(name, None)
            else:
                content["loggers"][name] = value
        self._own_change = True
        try:
            self._propose("logging", LoggingConfig, content)
        finally:
            self._own_change = False

    def sampling(self) -> dict[str, Any]:
        config = self._context.config.current.tracing_config
        rates = {name: getattr(config, name) for name in RATES}
        governor = self._context.get(SamplingGovernor)
        factor = 1.0 if governor is None else governor.factor
        return {
            **rates,
            "instrumentation": config.instrumentation.model_dump(),
            "in_force": {name: rate * factor for name, rate in rates.items()},
            "governor_factor": factor,
        }

    def set_sampling(self, rates: Mapping[str, float]) -> None:
        config = self._context.config.current
        content = config.tracing_config.model_dump(by_alias=True)
        content.update({name: rates[name] for name in RATES if name in rates})
        self._propose("tracing_config", TracingConfig, content)
        kept = {name: rates[name] for name in RATES if name in rates}
        placement = self._context.get(RuntimePlacement)
        if placement is not None and kept:
            placement.keep({"tracing_config": kept})

    def _propose(self, section: str, model: Any, content: Mapping[str, Any]) -> None:
        config: Config = self._context.config.current
        try:
            changed = model.model_validate(content)
            changes = self._context.config.propose(replace(config, **{section: changed}))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidSetting(f"{place}: {first['msg']}") from error
        except ConfigError as error:
            raise InvalidSetting(str(error)) from error
        for change in changes:
            self._context.log.warning(
                "Setting %s %s changed at runtime: %s -> %s",
                change.section,
                change.json_path,
                change.old,
                change.new,
            )
