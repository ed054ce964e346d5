"""The list of configuration files.

To add a file: a module in `models/` named like it, a line in SECTIONS, an attribute in `Config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.config.base import ConfigFile
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


@dataclass(frozen=True, slots=True)
class Section:
    """A configuration file: its stem and the model of its content."""

    stem: str
    model: type[ConfigFile]

    @property
    def file_name(self) -> str:
        return f"{self.stem}.json"

    @property
    def required(self) -> bool:
        """Whether the file has to be there: it holds a field that has no default."""
        return any(field.is_required() for field in self.model.model_fields.values())


def _sections(**models: type[ConfigFile]) -> Mapping[str, Section]:
    return MappingProxyType({stem: Section(stem, model) for stem, model in models.items()})


SECTIONS: Final = _sections(
    instance=InstanceConfig,
    cpu_affinity=CpuAffinityConfig,
    numa_binding=NumaBindingConfig,
    failover_policy=FailoverPolicyConfig,
    tracing_config=TracingConfig,
    rt_schedule=RtScheduleConfig,
    robot=RobotConfig,
    datastore=DataStoreConfig,
    logging=LoggingConfig,
    api=ApiConfig,
    event_bus=EventBusConfig,
)
"""File stem -> section."""

TASKS: Final = Section("tasks", TaskDefinition)
"""Task definitions: one file each in the folder `tasks`."""
