"""The control region: log levels and sampling rates as the RT thread reads them.

The creator of a generation fills it before anybody sees the segment, so that RT logs what is
configured from its first cycle on; from then on the Non-RT process is its only writer.
"""

from __future__ import annotations

from shared.config.models.logging import LoggingConfig
from shared.config.models.tracing_config import Instrumentation, TracingConfig
from shared.enums import Level
from shared.events import loggers
from shared.segment import Segment
from shared.trace_context import ALWAYS, sampling_threshold

_MAX_THRESHOLD = ALWAYS - 1


def level_of(config: LoggingConfig, logger: str) -> Level:
    """Threshold of a logger: its own entry, else that of the nearest one above it, else `level`."""
    name = logger
    while name:
        if name in config.loggers:
            return Level[config.loggers[name].upper()]
        name = name.rpartition(".")[0]
    return Level[config.level.upper()]


def fill_control(segment: Segment, logging: LoggingConfig, tracing: TracingConfig) -> None:
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
