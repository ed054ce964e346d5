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

    # Defaults live in the class: most records are INFO and never set them.
    scenario: Scenario | None = None
    template: ErrorTemplate | None = None
    values: Values | None = None
    incident = ""
    phase = ""
    last_of_incident = False
    ms = 0

    def __init__(
        self, level: Level, service: Service, logger: str, request: Request, message: str
    ) -> None:
        self.level: Level = level
        self.service = service
        self.logger = logger
        self.request = request
        self.message = message

    @classmethod
    def error(
        cls, scenario: Scenario, template: ErrorTemplate, values: Values, request: Request
    ) -> Record:
        """An ERROR of `scenario`, as `template` shows it."""
        record = cls("ERROR", template.service, template.logger, request, template.message)
        record.scenario = scenario
        record.template = template
        record.values = values
        return record
