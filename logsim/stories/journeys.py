"""The ways requests take through the fleet, step by step, and what each step logs at INFO.

A message function gets the request and 32 random bits. Figures that recur in a story come from the
request; figures of the moment (a duration, say) come from the bits. Messages are plain ASCII
without quotes and backslashes, so that they go into JSON as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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

Message = Callable[[Request, int], str]


class Step(NamedTuple):
    """What one service says about a request at one point of its way."""

    service: Service
    logger: str
    message: Message


def _step(service: Service, logger: str, message: Message) -> Step:
    return Step(service, f"{service.module}.{logger}", message)


TOKEN_VERIFIED = _step(
    AUTH,
    "token.TokenVerifier",
    lambda r, n: f"Token of {r.user_id} verified in {1 + n % 9} ms (scope {_scope(r)})",
)
SIGNED_IN = _step(
    AUTH,
    "session.SignInService",
    lambda r, n: f"User {r.user_id} signed in with {_factor(r)} in {60 + n % 140} ms",
)
TOKEN_ISSUED = _step(
    AUTH,
    "token.TokenService",
    lambda r, n: f"Access token for {r.user_id} issued, valid 900 s, {3 + n % 20} ms",
)
PROFILE_LOADED = _step(
    PROFILE,
    "routes.users",
    lambda r, n: (
        f"GET /v1/users/{r.user_id} 200 in {4 + n % 40} ms (cache {'hit' if n & 4096 else 'miss'})"
    ),
)
PROFILE_CHANGED = _step(
    PROFILE,
    "routes.users",
    lambda r, n: f"PATCH /v1/users/{r.user_id} 200 in {12 + n % 60} ms, 1 field changed",
)
STOCK_READ = _step(
    INVENTORY,
    "stock.StockService",
    lambda r, n: (
        f"Stock of {r.sku} ({r.article}): {40 + r.figure % 400} available, {2 + n % 18} ms"
    ),
)
STOCK_RESERVED = _step(
    INVENTORY,
    "stock.StockService",
    lambda r, n: f"Reserved {r.items} x {r.sku} for {r.order_id} in {6 + n % 30} ms",
)
STOCK_COMMITTED = _step(
    INVENTORY,
    "stock.StockService",
    lambda r, n: (
        f"Reservation of {r.items} x {r.sku} for {r.order_id} committed in {4 + n % 20} ms"
    ),
)
RESTOCKED = _step(
    INVENTORY,
    "stock.Restocking",
    lambda r, n: f"Restocked {r.sku} by {50 * r.items} pieces in {8 + n % 40} ms",
)
ORDER_CREATED = _step(
    ORDER,
    "checkout.CheckoutSaga",
    lambda r, n: (
        f"Order {r.order_id} created: {r.items} x {r.sku}, {r.amount} EUR, {9 + n % 50} ms"
    ),
)
ORDER_CONFIRMED = _step(
    ORDER,
    "checkout.CheckoutSaga",
    lambda r, n: f"Order {r.order_id} confirmed: {r.amount} EUR paid, {5 + n % 30} ms",
)
REFUND_ASKED = _step(
    ORDER,
    "refund.RefundService",
    lambda r, n: f"Refund of {r.amount} EUR for {r.order_id} approved in {7 + n % 40} ms",
)
CHARGED = _step(
    PAYMENT,
    "charge.ChargeService",
    lambda r, n: f"Charged {r.amount} EUR for {r.order_id} in {120 + n % 380} ms",
)
REFUNDED = _step(
    PAYMENT,
    "charge.RefundService",
    lambda r, n: f"Refunded {r.amount} EUR for {r.order_id} in {140 + n % 420} ms",
)
MAIL_SENT = _step(
    NOTIFICATION,
    "tasks.mail",
    lambda r, n: f"Mail to {r.user_id} about {r.order_id} sent in {30 + n % 220} ms",
)
PUSH_SENT = _step(
    NOTIFICATION,
    "tasks.push",
    lambda r, n: f"Push message to {r.user_id} delivered in {15 + n % 90} ms",
)
EVENT_STORED = _step(
    ANALYTICS,
    "ingest.stream",
    lambda r, n: f"Batch of {200 + n % 300} events stored, last of {r.user_id}, {20 + n % 70} ms",
)
REPORT_BUILT = _step(
    ANALYTICS,
    "cohort.builder",
    lambda r, n: f"Cohort of {r.sku} rebuilt from {10_000 + n % 90_000} rows in {300 + n % 900} ms",
)


def _scope(request: Request) -> str:
    return ("orders.read", "orders.write", "profile.read", "catalogue.read")[request.figure & 3]


def _factor(request: Request) -> str:
    return ("password", "passkey", "one-time code")[request.figure % 3]


# Checkout stands twice: it is the way most requests take.
_CHECKOUT = (
    TOKEN_VERIFIED,
    PROFILE_LOADED,
    STOCK_RESERVED,
    ORDER_CREATED,
    CHARGED,
    STOCK_COMMITTED,
    ORDER_CONFIRMED,
    MAIL_SENT,
    EVENT_STORED,
)
JOURNEYS: tuple[tuple[Step, ...], ...] = (
    _CHECKOUT,
    _CHECKOUT,
    (SIGNED_IN, PROFILE_LOADED, TOKEN_ISSUED, EVENT_STORED),
    (TOKEN_VERIFIED, PROFILE_CHANGED, PUSH_SENT, EVENT_STORED),
    (TOKEN_VERIFIED, REFUND_ASKED, REFUNDED, MAIL_SENT, EVENT_STORED),
    (STOCK_READ, RESTOCKED, PUSH_SENT, REPORT_BUILT),
)

# Where a request can stand when `service` is next: (journey, step index), for each service.
ENTRIES: dict[str, tuple[tuple[tuple[Step, ...], int], ...]] = {
    service.name: tuple(
        (journey, index)
        for journey in JOURNEYS
        for index, step in enumerate(journey)
        if step.service is service
    )
    for service in (PAYMENT, ORDER, AUTH, INVENTORY, NOTIFICATION, PROFILE, ANALYTICS)
}
