"""Everyday traffic: requests on their way through the fleet, each record the next word of one."""

from __future__ import annotations

from collections import deque
from random import Random

from logsim.levels import Level
from logsim.record import Record
from logsim.request import Request
from logsim.scenarios import SCENARIOS, Scenario
from logsim.services import SERVICES, Service
from logsim.stories.journeys import ENTRIES, JOURNEYS, Step
from logsim.stories.warnings import SEEN_BY_CALLER, WARNINGS

# Requests on their way at any time: few enough that a reader can follow one, enough to interleave.
IN_FLIGHT = 28
# Requests that have failed and whose caller has not said so yet; the oldest is forgotten beyond it.
FAILED_KEPT = 16


class Background:
    """Produces a record of a wanted level by taking one of the requests in flight a step further.

    INFO is a request's next step. WARN is trouble at the service where a request stands, or the
    caller's view of one that failed. ERROR ends a request; all eight scenarios come equally often,
    unless `only` names one. One request comes in for each that ends.
    """

    def __init__(self, random: Random, only: Scenario | None = None) -> None:
        self._random = random
        self._waiting: dict[str, deque[Request]] = {s.name: deque() for s in SERVICES}
        self._queues = list(self._waiting.values())
        self._failed: deque[tuple[Step, Request]] = deque(maxlen=FAILED_KEPT)
        self._scenarios = (only,) if only else SCENARIOS
        self._deck: list[Scenario] = []
        for _ in range(IN_FLIGHT):
            self._admit()

    def produce(self, level: Level, now_ms: int) -> Record:
        """The next record of `level`."""
        if level == "INFO":
            return self._info()
        if level == "WARN":
            return self._warn()
        return self._error(now_ms)

    def _info(self) -> Record:
        bits = self._random.getrandbits(40)
        request = self._next_request(bits)
        steps = request.steps
        place = request.step
        step = steps[place]
        record = Record(
            "INFO", step.service, step.logger, request, step.message(request, bits & 0xFFFFFFFF)
        )
        place += 1
        if place < len(steps):
            request.step = place
            self._waiting[steps[place].service.name].append(request)
        else:
            self._admit()
        return record

    def _warn(self) -> Record:
        bits = self._random.getrandbits(40)
        noise = bits & 0xFFFFFFFF
        if self._failed:
            step, request = self._failed.popleft()
            return Record("WARN", step.service, step.logger, request, step.message(request, noise))
        request = self._next_request(bits)
        service: Service = request.steps[request.step].service
        warnings = WARNINGS[service.name]
        step = warnings[noise % len(warnings)]
        # The request stays where it is: a warning is no progress, and it goes to the back.
        self._waiting[service.name].append(request)
        return Record("WARN", step.service, step.logger, request, step.message(request, noise >> 4))

    def _error(self, now_ms: int) -> Record:
        random = self._random
        if not self._deck:
            self._deck = list(self._scenarios)
            random.shuffle(self._deck)
        scenario = self._deck.pop()
        template = scenario.templates[int(random.random() * len(scenario.templates))]
        service = template.service
        request = self._request_at(service)
        values = scenario.draw(random, request, random.random(), now_ms)
        self._failed.append((SEEN_BY_CALLER[service.name], request))
        return Record.error(scenario, template, values, request)

    def _admit(self) -> None:
        """Let a new request in at the start of a journey."""
        journey = JOURNEYS[int(self._random.random() * len(JOURNEYS))]
        self._waiting[journey[0].service.name].append(Request(self._random, journey))

    def _next_request(self, bits: int) -> Request:
        """Take the request that has waited longest at a service picked by the high bits."""
        queues = self._queues
        index = (bits >> 32) % len(queues)
        while not queues[index]:
            index = index - 1 if index else len(queues) - 1
        return queues[index].popleft()

    def _request_at(self, service: Service) -> Request:
        """Take a request that stands at `service`, or a new one with its earlier steps unlogged."""
        queue = self._waiting[service.name]
        if queue:
            request = queue.popleft()
            self._admit()
            return request
        entries = ENTRIES[service.name]
        journey, step = entries[int(self._random.random() * len(entries))]
        return Request(self._random, journey, step)
