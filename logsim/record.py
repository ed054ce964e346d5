"""One log record before it is formatted."""

from __future__ import annotations

from logsim.levels import Level
from logsim.request import Request
from logsim.scenarios.base import ErrorTemplate, Scenario, Values
from logsim.services import Service


class Record:
    """A record of one service about one request.

    INFO and WARN carry `message`; ERROR carries `template` and the drawn `values` instead.
    `scenario`, `incident` and `phase` are ground truth: they go to the label file and never into
    the log.
    """

    __slots__ = (
        "incident",
        "last_of_incident",
        "level",
        "logger",
        "message",
        "ms",
        "phase",
        "request",
        "scenario",
        "service",
        "template",
        "values",
    )

    def __init__(
        self,
        level: Level,
        service: Service,
        logger: str,
        request: Request,
        message: str,
        *,
        scenario: Scenario | None = None,
        template: ErrorTemplate | None = None,
        values: Values | None = None,
        incident: str = "",
        phase: str = "",
    ) -> None:
        self.level = level
        self.service = service
        self.logger = logger
        self.request = request
        self.message = message
        self.scenario = scenario
        self.template = template
        self.values = values
        self.incident = incident
        self.phase = phase
        self.last_of_incident = False
        self.ms = 0
