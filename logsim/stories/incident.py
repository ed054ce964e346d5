"""A cascading incident, told as one story: onset, cascade, recovery.

A settlement job in payment-api holds database connections (onset: the pool fills up), charges find
no connection, order-service waits for payment-api in vain, and the retries pile up in the queue
that notification-service reads (cascade). The job is cancelled, the pool drains, the breaker
closes, the lag shrinks, and the orders that had been hit are paid after all (recovery). Each
number moves one way within its phase, and a request that is hit keeps its ids through all the
services.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from random import Random

from logsim.levels import Level, LevelMix
from logsim.record import Record
from logsim.request import Request
from logsim.scenarios import Scenario, by_name
from logsim.scenarios.database_pool import POOL_SIZE
from logsim.scenarios.payment_gateway import CALLS, failed_calls
from logsim.services import NOTIFICATION, ORDER, PAYMENT, Service
from logsim.stories.journeys import CHARGED, MAIL_SENT, ORDER_CONFIRMED, Step

# Records before the first incident, and at least as many between one and the next.
CALM_BEFORE = 20
CALM_BETWEEN = 300
# Share of the records that belong to the incident while one is on.
INTENSITY = 0.6

POOL = by_name["db-pool-exhausted"]
PAYMENTS = by_name["payment-gateway-timeout"]
LAG = by_name["consumer-lag"]

_LAG_LIMIT = 10_000

Beat = tuple[Level, Callable[[int], Record]]


class Incidents:
    """Starts incidents, one after the other, and says what belongs to the one that is on."""

    def __init__(self, random: Random, mix: LevelMix) -> None:
        self._random = random
        self._mix = mix
        self._calm = CALM_BEFORE
        self._beats: deque[Beat] = deque()
        self._number = 0

    def next(self, now_ms: int) -> Record | None:
        """The incident's record for now, or None: everyday traffic has the word.

        Levels are taken out of turn, so the mix of levels stays what was asked for; a new incident
        waits until the last one's levels have been made good.
        """
        if not self._beats:
            self._calm -= 1
            if self._calm >= 0 or self._mix.debt:
                return None
            self._number += 1
            story = _Story(f"INC-{self._number:04d}", self._random)
            self._beats.extend(beat for beat in story.beats() if self._mix.possible(beat[0]))
            self._calm = CALM_BETWEEN
        if self._random.random() >= INTENSITY:
            return None
        level, tell = self._beats.popleft()
        self._mix.take(level)
        record = tell(now_ms)
        record.last_of_incident = not self._beats
        return record


class _Story:
    """One incident: its requests, its pods, and its beats in order."""

    def __init__(self, incident: str, random: Random) -> None:
        self._incident = incident
        self._random = random
        # One pod of each service is hit, so that its pool and its lag can be followed.
        self._pods = random.getrandbits(24)
        self._hit = [self._request() for _ in range(14 + random.randrange(8))]
        self._partition = random.randrange(12)
        self._committed = 4_000_000 + random.randrange(1_000_000)
        self._job = f"settle-{random.getrandbits(24):06x}"

    def beats(self) -> Iterator[Beat]:
        yield from self._in_phase("onset", self._onset())
        yield from self._in_phase("cascade", self._cascade())
        yield from self._in_phase("recovery", self._recovery())

    def _in_phase(self, phase: str, beats: Iterator[Beat]) -> Iterator[Beat]:
        for level, tell in beats:

            def told(now_ms: int, tell: Callable[[int], Record] = tell) -> Record:
                record = tell(now_ms)
                record.incident = self._incident
                record.phase = phase
                return record

            yield level, told

    def _onset(self) -> Iterator[Beat]:
        merchants = 200 + self._random.randrange(100)
        yield self._say(
            "INFO",
            PAYMENT,
            "settlement.SettlementJob",
            POOL,
            f"Settlement job {self._job} started for {merchants} merchants",
        )
        for active in (9, 11, 13, 15, 16, 17, 18, 18, 19, 19, POOL_SIZE):
            yield self._pool("WARN", active, held_s=active - 4)

    def _cascade(self) -> Iterator[Beat]:
        hit = self._hit
        last = len(hit) - 1
        lead = 4
        breaker_open = False
        for turn in range(len(hit) + 2 * lead):
            if turn <= last:
                yield self._fail(POOL, PAYMENT, hit[turn], (turn + 1) / (last + 1))
            if 0 <= turn - lead <= last:
                request = hit[turn - lead]
                yield self._fail(PAYMENTS, ORDER, request, (turn - lead + 1) / (last + 1))
                failed = failed_calls((turn - lead + 1) / (last + 1))
                if not breaker_open and failed >= CALLS // 2:
                    breaker_open = True
                    yield self._say(
                        "WARN",
                        ORDER,
                        "checkout.PaymentStep",
                        PAYMENTS,
                        f"Circuit breaker payment-api OPEN: {failed} of the last {CALLS} calls "
                        f"failed ({failed * 100 // CALLS} %)",
                    )
                yield self._say(
                    "WARN",
                    ORDER,
                    "checkout.CheckoutSaga",
                    PAYMENTS,
                    f"Order {request.order_id} kept in PAYMENT_PENDING, retry event published",
                    request,
                )
            if 0 <= turn - 2 * lead <= last:
                step = turn - 2 * lead
                if step < lead:
                    yield self._lag("WARN", 3_000 + 2_000 * step)
                else:
                    yield self._fail(LAG, NOTIFICATION, hit[step], (step + 1) / (last + 1))

    def _recovery(self) -> Iterator[Beat]:
        yield self._say(
            "INFO",
            PAYMENT,
            "settlement.SettlementJob",
            POOL,
            f"Settlement job {self._job} cancelled by an operator, its connections are given back",
        )
        for active in (16, 12, 9, 7):
            yield self._pool("INFO", active, held_s=active // 2)
        yield self._say(
            "INFO",
            ORDER,
            "checkout.PaymentStep",
            PAYMENTS,
            "Circuit breaker payment-api HALF_OPEN: 5 trial calls",
        )
        yield self._say(
            "INFO",
            ORDER,
            "checkout.PaymentStep",
            PAYMENTS,
            "Circuit breaker payment-api CLOSED: 5 of 5 trial calls succeeded",
        )
        lag = 10_500 + 180_000
        for request in self._hit:
            yield self._step(CHARGED, PAYMENTS, request)
            yield self._step(ORDER_CONFIRMED, PAYMENTS, request)
            lag = lag * 2 // 3
            yield self._lag("WARN" if lag > _LAG_LIMIT else "INFO", lag)
            yield self._step(MAIL_SENT, LAG, request)
        yield self._lag("INFO", 0)

    def _request(self) -> Request:
        request = Request(self._random)
        request.pin(self._pods)
        return request

    def _say(
        self,
        level: Level,
        service: Service,
        logger: str,
        scenario: Scenario,
        message: str,
        request: Request | None = None,
    ) -> Beat:
        name = f"{service.module}.{logger}"
        about = request or self._request()
        return level, lambda _now: _about(scenario, Record(level, service, name, about, message))

    def _step(self, step: Step, scenario: Scenario, request: Request) -> Beat:
        message = step.message(request, self._random.getrandbits(32))
        return "INFO", lambda _now: _about(
            scenario, Record("INFO", step.service, step.logger, request, message)
        )

    def _pool(self, level: Level, active: int, *, held_s: int) -> Beat:
        waiting = 1 if active == POOL_SIZE else 0
        return self._say(
            level,
            PAYMENT,
            "db.PoolMonitor",
            POOL,
            f"HikariPool-1 {active}/{POOL_SIZE} connections active, {POOL_SIZE - active} idle, "
            f"{waiting} waiting, oldest held for {held_s} s",
        )

    def _lag(self, level: Level, lag: int) -> Beat:
        return self._say(
            level,
            NOTIFICATION,
            "events.consumer",
            LAG,
            f"Lag of order-events[{self._partition}] at {lag} messages (limit {_LAG_LIMIT})",
        )

    def _fail(
        self, scenario: Scenario, service: Service, request: Request, pressure: float
    ) -> Beat:
        template = scenario.templates_of(service)[0]

        def tell(now_ms: int) -> Record:
            values = scenario.draw(self._random, request, pressure, now_ms)
            if scenario is LAG:
                lag = values["lag"]
                assert isinstance(lag, int)
                self._committed += self._random.randrange(1, 400)
                values["partition"] = self._partition
                values["committed"] = self._committed
                values["end"] = self._committed + lag
            return Record.error(scenario, template, values, request)

        return "ERROR", tell


def _about(scenario: Scenario, record: Record) -> Record:
    """Mark what stage of the cascade a record belongs to."""
    record.scenario = scenario
    return record
