"""Log levels and sampling rates in force: from the configuration into the control region.

RT reads the region every cycle. A change over HTTP is a change of the configuration in memory
(ConfigStore): SIGHUP and HTTP go one way, and it lasts until SIGHUP reads the files or the process
ends.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from nonrt_process.consumer import Consumer
from nonrt_process.context import Context
from nonrt_process.interfaces import InvalidSetting, RuntimePlacement
from shared.config import Config, ConfigError
from shared.config.models.logging import LoggingConfig
from shared.config.models.tracing_config import Instrumentation, TracingConfig
from shared.enums import Level
from shared.events import loggers
from shared.segment import Segment
from shared.trace_context import ALWAYS, sampling_threshold

_MAX_THRESHOLD = ALWAYS - 1
RATES = ("sampling_rate", "task_sampling_rate", "rt_cycle_sampling_rate")


def level_of(config: LoggingConfig, logger: str) -> Level:
    """Threshold of a logger: its own entry, else that of the nearest one above it, else `level`."""
    name = logger
    while name:
        if name in config.loggers:
            return Level[config.loggers[name].upper()]
        name = name.rpartition(".")[0]
    return Level[config.level.upper()]


class ControlSettings(Consumer):
    """RuntimeSettings; as a consumer without rings it fills the region of each generation."""

    name = "settings"
    interval_s = 0.2

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._lock = threading.Lock()
        for section in ("logging", "tracing_config"):
            context.config.subscribe(section, commit=lambda _old, _new: self.apply())

    def on_attach(self, segment: Segment) -> None:
        self.apply()

    def apply(self) -> None:
        """Write what is configured now into the segment, if there is one."""
        segment = self._context.segment
        if segment is None:
            return
        config = self._context.config.current
        with self._lock:
            _write_control(segment, config.logging, config.tracing_config)

    def log_levels(self) -> dict[str, Any]:
        config = self._context.config.current.logging
        return {"level": config.level, "loggers": dict(config.loggers)}

    def set_log_levels(self, level: str | None, entries: Mapping[str, str | None]) -> None:
        config = self._context.config.current
        content = config.logging.model_dump(by_alias=True)
        if level is not None:
            content["level"] = level
        for name, value in entries.items():
            if value is None:
                content["loggers"].pop(name, None)
            else:
                content["loggers"][name] = value
        self._propose("logging", LoggingConfig, content)

    def sampling(self) -> dict[str, Any]:
        config = self._context.config.current.tracing_config
        rates = {name: getattr(config, name) for name in RATES}
        return {**rates, "instrumentation": config.instrumentation.model_dump()}

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
                "Setting %s %s changed over HTTP: %s -> %s",
                change.section,
                change.json_path,
                change.old,
                change.new,
            )


def _write_control(segment: Segment, logging: LoggingConfig, tracing: TracingConfig) -> None:
    """Fill the region; `version` last, so that who sees it grow sees the words before it."""
    control = segment.control
    for index, name in enumerate(loggers()):
        control.log_level[index] = int(level_of(logging, name))
    task = sampling_threshold(tracing.task_sampling_rate)
    cycle = sampling_threshold(tracing.rt_cycle_sampling_rate)
    control.task_sampling = min(task, _MAX_THRESHOLD)
    control.cycle_sampling = min(cycle, _MAX_THRESHOLD)
    control.sample_all = int(task == ALWAYS) | int(cycle == ALWAYS) << 1
    control.instrumentation = _bits(tracing.instrumentation)
    control.version += 1


def _bits(instrumentation: Instrumentation) -> int:
    return (
        int(instrumentation.eventbus)
        | int(instrumentation.task_executor) << 1
        | int(instrumentation.rt_cycle) << 2
    )
