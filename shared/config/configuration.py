"""A whole configuration, as loaded and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from shared.config.models.api import ApiConfig
from shared.config.models.cpu_affinity import CpuAffinityConfig
from shared.config.models.datastore import DataStoreConfig
from shared.config.models.event_bus import EventBusConfig
from shared.config.models.failover_policy import FailoverPolicyConfig
from shared.config.models.instance import InstanceConfig
from shared.config.models.logging import LoggingConfig
from shared.config.models.numa_binding import NumaBindingConfig
from shared.config.models.robot import RobotConfig
from shared.config.models.rt_schedule import RtScheduleConfig
from shared.config.models.tasks import TaskDefinition
from shared.config.models.tracing_config import TracingConfig
from shared.config.paths import Paths


@dataclass(frozen=True)
class Config:
    """One attribute per file, named like it, and what follows from them.

    tasks: id or pattern -> definition.
    paths: the folders in force.
    directory: where the files were read.
    api_token: the token from api.json or its token_file, or None.
    absent: stems of files that were not there, so that their defaults are in force.
    overrides: what was changed at run time, by file stem (see overrides.py).
    """

    instance: InstanceConfig
    cpu_affinity: CpuAffinityConfig
    numa_binding: NumaBindingConfig
    failover_policy: FailoverPolicyConfig
    tracing_config: TracingConfig
    rt_schedule: RtScheduleConfig
    robot: RobotConfig
    datastore: DataStoreConfig
    logging: LoggingConfig
    api: ApiConfig
    event_bus: EventBusConfig
    tasks: Mapping[str, TaskDefinition]
    paths: Paths
    directory: Path
    api_token: SecretStr | None = None
    absent: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def instance_name(self) -> str:
        """Name of the instance: configured, or one per user."""
        return self.instance.name

    def find_task(self, task_id: str) -> TaskDefinition | None:
        """The definition that serves `task_id`: its own, else the most specific pattern.

        The most specific pattern has the most literal characters; of equals the first by name.
        """
        own = self.tasks.get(task_id)
        if own is not None and own.id is not None:
            return own
        for matches, definition in self._patterns:
            if matches(task_id):
                return definition
        return None

    @cached_property
    def _patterns(self) -> list[tuple[Callable[[str], object], TaskDefinition]]:
        """Those with a pattern, the most specific first; a start of a task asks for them."""
        found = [one for one in self.tasks.values() if one.pattern is not None]
        return [
            (re.compile(translate(one.pattern or "")).match, one)
            for one in sorted(found, key=_specificity)
        ]


def _specificity(definition: TaskDefinition) -> tuple[int, str]:
    pattern = definition.pattern or ""
    literals = len(pattern) - pattern.count("*") - pattern.count("?")
    return -literals, pattern
