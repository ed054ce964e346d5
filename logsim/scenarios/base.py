"""What an error scenario is: who can have it, what it says, and how its numbers hang together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from logsim.request import Request
from logsim.services import Service
from logsim.traces.java import Thrown, java_trace
from logsim.traces.python import Frame, python_trace

Values = dict[str, object]

# draw(random, request, pressure 0..1, time of the record in ms since the epoch): the values of one
# error. They depend on each other (20 of 20 connections busy, none idle) and grow with pressure, so
# that an incident can get worse step by step. Text values hold no character that JSON escapes.
Draw = Callable[[Random, Request, float, int], Values]


@dataclass(frozen=True, slots=True)
class ErrorTemplate:
    """One way a scenario shows in one service. All texts are %-templates over the drawn values.

    `details` are (name, value) pairs in the order they are printed.
    """

    service: Service
    logger: str
    thread: str
    message: str
    details: tuple[tuple[str, str], ...]
    recovery: str
    error_type: str
    error_message: str
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of failure: `name` on the command line and in labels, `code` in the log itself."""

    name: str
    code: str
    title: str
    draw: Draw
    templates: tuple[ErrorTemplate, ...]

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that can have it, each once."""
        return tuple(dict.fromkeys(template.service for template in self.templates))

    def templates_of(self, service: Service) -> tuple[ErrorTemplate, ...]:
        return tuple(t for t in self.templates if t.service is service)


def java_error(
    service: Service,
    *,
    logger: str,
    thread: str,
    message: str,
    details: tuple[tuple[str, str], ...],
    recovery: str,
    chain: tuple[Thrown, ...],
) -> ErrorTemplate:
    """An error of a Java service; type and message are those of the outermost exception."""
    return ErrorTemplate(
        service=service,
        logger=f"{service.module}.{logger}",
        thread=thread,
        message=message,
        details=details,
        recovery=recovery,
        error_type=chain[0].type,
        error_message=chain[0].message,
        trace=java_trace(chain),
    )


def python_error(
    service: Service,
    *,
    logger: str,
    message: str,
    details: tuple[tuple[str, str], ...],
    recovery: str,
    frames: tuple[Frame, ...],
    error_type: str,
    error_message: str,
    thread: str = "MainThread",
) -> ErrorTemplate:
    """An error of a Python service."""
    return ErrorTemplate(
        service=service,
        logger=f"{service.module}.{logger}",
        thread=thread,
        message=message,
        details=details,
        recovery=recovery,
        error_type=error_type,
        error_message=error_message,
        trace=python_trace(frames, f"{error_type}: {error_message}"),
    )
