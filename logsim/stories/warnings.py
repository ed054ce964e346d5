"""What the services say at WARN: early signs of trouble, and callers that saw a request fail."""

from __future__ import annotations

from logsim.request import Request
from logsim.services import (
    ANALYTICS,
    AUTH,
    INVENTORY,
    NOTIFICATION,
    ORDER,
    PAYMENT,
    PROFILE,
    Service,
)
from logsim.stories.journeys import Message, Step


def _warn(service: Service, logger: str, *messages: Message) -> tuple[Step, ...]:
    return tuple(Step(service, f"{service.module}.{logger}", message) for message in messages)


WARNINGS: dict[str, tuple[Step, ...]] = {
    PAYMENT.name: _warn(
        PAYMENT,
        "gateway.CardGatewayClient",
        lambda r, n: (
            f"Charge of {r.amount} EUR for {r.order_id} slow: {1500 + n % 900} ms (limit 2500 ms)"
        ),
        lambda r, n: (
            f"Gateway answered 502 for {r.order_id}, attempt {1 + n % 2} of 3, next in 400 ms"
        ),
    ),
    ORDER.name: _warn(
        ORDER,
        "checkout.CheckoutSaga",
        lambda r, n: f"Order {r.order_id}: step took {800 + n % 1100} ms (expected below 500 ms)",
        lambda r, n: f"Order {r.order_id} submitted twice within {1 + n % 9} s, second one ignored",
    ),
    AUTH.name: _warn(
        AUTH,
        "session.SignInService",
        lambda r, n: f"{2 + n % 3} failed sign-ins of {r.user_id} in 60 s (limit 5)",
        lambda r, n: (
            f"Token of {r.user_id} expires in {5 + n % 50} s and is used by a long request"
        ),
    ),
    INVENTORY.name: _warn(
        INVENTORY,
        "stock.StockService",
        lambda r, n: f"Stock of {r.sku} low: {1 + n % 9} left (reorder level 10)",
        lambda r, n: f"Row lock on {r.sku} waited for {500 + n % 1400} ms (limit 2000 ms)",
    ),
    NOTIFICATION.name: _warn(
        NOTIFICATION,
        "tasks.mail",
        lambda r, n: (
            f"Mail to {r.user_id} deferred by the provider (451), attempt {1 + n % 3} of 5"
        ),
        lambda r, n: (
            f"{850 + n % 140} of 1000 mails of this minute used, mail to {r.user_id} held back"
        ),
    ),
    PROFILE.name: _warn(
        PROFILE,
        "routes.users",
        lambda r, n: f"GET /v1/users/{r.user_id} slow: {400 + n % 900} ms (target 200 ms)",
        lambda r, n: (
            f"Connection pool {15 + n % 4}/20 in use while loading {r.user_id}, {1 + n % 3} overdue"
        ),
    ),
    ANALYTICS.name: _warn(
        ANALYTICS,
        "ingest.stream",
        lambda r, n: (
            f"Lag of order-events at {4000 + n % 5500} messages (limit 10000), "
            f"event of {r.user_id} {2 + n % 20} s late"
        ),
        lambda r, n: f"Container memory at {80 + n % 15} % while {r.user_id} was being aggregated",
    ),
}

# Who calls whom: the caller notices when the service it called has failed.
_CALLERS: dict[str, tuple[Service, str]] = {
    PAYMENT.name: (ORDER, "checkout.PaymentStep"),
    INVENTORY.name: (ORDER, "checkout.ReservationStep"),
    AUTH.name: (PROFILE, "security.bearer"),
    PROFILE.name: (ORDER, "checkout.CustomerStep"),
    ORDER.name: (PAYMENT, "callback.OrderCallback"),
    NOTIFICATION.name: (ORDER, "events.NotificationListener"),
    ANALYTICS.name: (NOTIFICATION, "tasks.digest"),
}
_SYNCHRONOUS = {PAYMENT.name, INVENTORY.name, AUTH.name, PROFILE.name, ORDER.name}


def seen_by_caller(failed: Service) -> Step:
    """What the caller of `failed` says about a request that failed there."""
    caller, logger = _CALLERS[failed.name]

    def refused(r: Request, n: int) -> str:
        return f"{failed.name} answered 503 for {r.user_id} after {20 + n % 3000} ms, request ended"

    def missing(r: Request, n: int) -> str:
        return f"No reply event of {failed.name} for {r.user_id} within {30 + n % 30} s"

    return Step(
        caller, f"{caller.module}.{logger}", refused if failed.name in _SYNCHRONOUS else missing
    )


SEEN_BY_CALLER: dict[str, Step] = {
    service.name: seen_by_caller(service)
    for service in (PAYMENT, ORDER, AUTH, INVENTORY, NOTIFICATION, PROFILE, ANALYTICS)
}
