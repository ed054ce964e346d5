"""logging.json: levels, rotation and bounds of the log files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.config.base import ConfigFile, ConfigModel, Fault, refuse, setting
from shared.config.models.names import Name

Level = Literal["trace", "debug", "info", "warn", "error", "critical"]


class Rotation(ConfigModel):
    """When a log file is closed, and how much is kept."""

    max_bytes: int = setting(
        64 << 20,
        scope="live",
        ge=64 << 10,
        le=1 << 40,
        meaning="Size in bytes at which a file is rotated.",
        trouble="Small files rotate often; Filebeat must be quick enough to follow.",
    )
    max_age_hours: float = setting(
        24,
        scope="live",
        gt=0,
        le=24 * 366,
        meaning="Age in hours at which a file is rotated.",
        trouble="Nothing.",
    )
    total_quota_bytes: int = setting(
        1 << 30,
        scope="live",
        ge=1 << 20,
        le=1 << 50,
        meaning="Bytes that all files of a process may take; the oldest rotated ones are deleted.",
        trouble="Too small for the search over 24 h: older lines are gone.",
    )

    @model_validator(mode="after")
    def _rules(self) -> Rotation:
        if self.total_quota_bytes < 2 * self.max_bytes:
            refuse(
                Fault(
                    ("total_quota_bytes",),
                    f"must be at least twice max_bytes ({2 * self.max_bytes})",
                    "the file in use and one rotated file have to fit",
                )
            )
        return self


class Otlp(ConfigModel):
    """Log records to an OpenTelemetry receiver, beside the files."""

    enabled: bool = setting(
        False,
        meaning="Whether log records are sent over OTLP, too.",
        trouble="A shipper that reads the files as well delivers every line twice.",
    )
    endpoint: str = setting(
        "http://localhost:4318",
        pattern=r"^https?://[^\s/@]+(/[^\s]*)?$",
        max_length=1024,
        allowed="an http:// or https:// URL without user name",
        meaning="Base URL of the OTLP receiver (HTTP with protobuf); /v1/logs is appended.",
        trouble="Absent or wrong: lines wait in the files as long as their quota keeps them.",
    )
    level: Level = setting(
        "info",
        meaning="Lowest level that is sent.",
        trouble="Below it lines stay in the files of this machine.",
    )


class LoggingConfig(ConfigFile):
    """Levels, rotation and bounds of the log files."""

    level: Level = setting(
        "info",
        scope="live",
        meaning="Lowest level that is written.",
        trouble="trace and debug make many lines; what does not fit is dropped and counted.",
    )
    loggers: Annotated[dict[Name, Level], Field(max_length=256)] = setting(
        default_factory=dict,
        default_text="{}",
        scope="live",
        allowed="an object of logger name: level",
        meaning="Levels of single loggers (and those below them, by dots), over `level`.",
        trouble="A name that no logger has changes nothing.",
    )
    rotation: Rotation = setting(
        scope="live",
        default_factory=Rotation,
        meaning="When a file is closed, and how much is kept.",
        trouble="Left out: all defaults.",
    )
    otlp: Otlp = setting(
        default_factory=Otlp,
        meaning="Log records to an OpenTelemetry receiver, beside the files.",
        trouble="Left out: not sent.",
    )
    backlog_lines: int = setting(
        100_000,
        ge=1_000,
        le=10_000_000,
        meaning="Lines kept in memory while the disk does not take them.",
        trouble="Beyond it the oldest are dropped, counted, and the log says so.",
    )
