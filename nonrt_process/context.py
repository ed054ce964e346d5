"""What every part of the Non-RT process gets: configuration, clock, segment, services.

One `Context` exists per process. Plugins meet here and in `interfaces.py`, never by importing each
other: what a plugin offers it `provide`s under a Protocol, what it needs it `get`s or `require`s.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.config import ConfigStore
    from shared.segment import Segment

ServiceT = TypeVar("ServiceT")


class AttachProblem(NamedTuple):
    """Why there is no segment. message: one line for a person.

    kind: "absent": RT has not run; "stopped": RT ended in order; "layout": it was made by another
    build; "taken": another Non-RT process serves it; "other": see the message.
    """

    kind: Literal["absent", "stopped", "layout", "taken", "other"]
    message: str


class Heart(Protocol):
    """Attaches to the segment and beats (heart.py)."""

    @property
    def segment(self) -> Segment | None: ...

    @property
    def problem(self) -> AttachProblem | None:
        """Why there is no segment; None while there is one."""

    @property
    def last_beat_ns(self) -> int:
        """When it beat last (CLOCK_MONOTONIC), with or without a segment."""

    @property
    def started_ns(self) -> int:
        """When this process began (CLOCK_MONOTONIC)."""


class ServiceMissingError(LookupError):
    """A service was required that no plugin provides."""


class Context:
    """Shared by all threads; every member is safe to use from any of them.

    config: the store of the configuration in force (`config.current`) and its live changes.
    clock: the one source of time.
    heart: what holds the segment.
    stopping: set once, when the process begins to stop; loops wait on it instead of sleeping.
    log: logger of the frame; a plugin takes `context.log.getChild("tasks")`.
    """

    def __init__(self, config: ConfigStore, clock: Clock, heart: Heart) -> None:
        self.config = config
        self.clock = clock
        self.stopping = threading.Event()
        self.log = logging.getLogger("nonrt")
        self.heart = heart
        self._services: dict[type, object] = {}
        self._lock = threading.Lock()

    @property
    def segment(self) -> Segment | None:
        """The segment of the generation in force, None while RT is absent.

        Take it once per operation into a local variable: it may become another one, or None, at any
        time. What was taken stays readable (and is of the old generation) as long as it is held; do
        not keep it, or a view into it, beyond the operation. A consumer keeps the one of its
        on_attach until on_detach.
        """
        return self.heart.segment

    @property
    def instance(self) -> str:
        """Name of the instance."""
        return self.config.current.instance_name

    def provide(self, protocol: type[ServiceT], service: ServiceT) -> None:
        """Offer `service` under `protocol`; a second one under the same is a ValueError."""
        with self._lock:
            if protocol in self._services:
                raise ValueError(f"{protocol.__name__} is provided twice")
            self._services[protocol] = service

    def get(self, protocol: type[ServiceT]) -> ServiceT | None:
        """The service under `protocol`, or None when no plugin provides it."""
        return cast("ServiceT | None", self._services.get(protocol))

    def require(self, protocol: type[ServiceT]) -> ServiceT:
        """The service under `protocol`; raises ServiceMissingError. For start(), not create()."""
        service = self.get(protocol)
        if service is None:
            raise ServiceMissingError(f"no plugin provides {protocol.__name__}")
        return service
