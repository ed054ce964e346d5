"""Inventory lock timeout: another transaction holds the stock row for longer than lock_timeout."""

from __future__ import annotations

from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error
from logsim.services import INVENTORY
from logsim.traces.java import Thrown
from logsim.traces.java_frames import EXECUTOR, HIBERNATE_CONVERT, spring_proxy

LOCK_TIMEOUT_MS = 2000


def draw(random: Random, request: Request, pressure: float, _now_ms: int) -> Values:
    held_ms = LOCK_TIMEOUT_MS + 150 + int(pressure * 9000) + random.getrandbits(6)
    warehouse = 1 + (request.figure >> 20) % 4
    return {
        "sku": request.sku,
        "items": request.items,
        "order": request.order_id,
        "warehouse": f"wh-{warehouse}",
        "limit_ms": LOCK_TIMEOUT_MS,
        "waited_ms": LOCK_TIMEOUT_MS + random.getrandbits(3),
        "held_ms": held_ms,
        "waiters": 1 + int(pressure * 18),
        "holder": 20000 + random.randrange(9000),
    }


_MESSAGE = (
    "Inventory lock timeout: row lock on %(sku)s in %(warehouse)s not granted within "
    "%(limit_ms)d ms, %(waiters)d waiting"
)

_DETAILS = (
    ("Row", "stock_level(sku=%(sku)s, warehouse=%(warehouse)s)"),
    ("Requested", "%(items)d x %(sku)s for %(order)s"),
    ("Lock timeout", "%(limit_ms)d ms (waited %(waited_ms)d ms)"),
    ("Lock holder", "backend pid %(holder)d, for %(held_ms)d ms, %(waiters)d waiting"),
)

_POSTGRES = Thrown(
    "org.postgresql.util.PSQLException",
    "ERROR: canceling statement due to lock timeout",
    (
        (
            "org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse"
            "(QueryExecutorImpl.java:2725)"
        ),
        "org.postgresql.core.v3.QueryExecutorImpl.execute(QueryExecutorImpl.java:371)",
        "org.postgresql.jdbc.PgPreparedStatement.executeQuery(PgPreparedStatement.java:137)",
        (
            "com.zaxxer.hikari.pool.HikariProxyPreparedStatement.executeQuery"
            "(HikariProxyPreparedStatement.java)"
        ),
        (
            "org.hibernate.sql.results.jdbc.internal.DeferredResultSetAccess.executeQuery"
            "(DeferredResultSetAccess.java:246)"
        ),
    ),
    wrapped_in=4,
)

_DEFERRED = (
    "org.hibernate.sql.results.jdbc.internal.DeferredResultSetAccess.executeQuery"
    "(DeferredResultSetAccess.java:264)"
)
_SELECT = "org.hibernate.loader.ast.internal.SingleIdEntityLoaderStandardImpl.load"


SCENARIO = Scenario(
    name="inventory-lock-timeout",
    code="INVENTORY_LOCK_TIMEOUT",
    title="Inventory lock timeout",
    draw=draw,
    templates=(
        java_error(
            INVENTORY,
            logger="stock.StockService",
            thread="stock-worker-5",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Reservation retried once with jitter (120 ms), then answered 409",
            chain=(
                Thrown(
                    "org.springframework.dao.PessimisticLockingFailureException",
                    "JDBC exception executing SQL [ERROR: canceling statement due to lock timeout]",
                    (
                        (
                            "org.springframework.orm.jpa.vendor.HibernateJpaDialect"
                            ".convertHibernateAccessException(HibernateJpaDialect.java:271)"
                        ),
                        (
                            "org.springframework.dao.support.PersistenceExceptionTranslationInterceptor"
                            ".invoke(PersistenceExceptionTranslationInterceptor.java:152)"
                        ),
                        "jdk.proxy2/jdk.proxy2.$Proxy134.findForUpdate(Unknown Source)",
                        "com.shopwave.inventory.stock.StockService.reserve(StockService.java:112)",
                        *spring_proxy("com.shopwave.inventory.stock.StockService", "reserve"),
                        *EXECUTOR,
                    ),
                ),
                Thrown(
                    "org.hibernate.exception.LockTimeoutException",
                    "JDBC exception executing SQL [ERROR: canceling statement due to lock timeout]",
                    (
                        *HIBERNATE_CONVERT,
                        _DEFERRED,
                        f"{_SELECT}(SingleIdEntityLoaderStandardImpl.java:75)",
                        (
                            "org.springframework.dao.support.PersistenceExceptionTranslationInterceptor"
                            ".invoke(PersistenceExceptionTranslationInterceptor.java:135)"
                        ),
                    ),
                    wrapped_in=2,
                ),
                _POSTGRES,
            ),
        ),
        java_error(
            INVENTORY,
            logger="stock.ReservationSweeper",
            thread="sweeper-1",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Row skipped in this sweep; holder reported to the lock monitor",
            chain=(
                Thrown(
                    "org.hibernate.exception.LockTimeoutException",
                    "JDBC exception executing SQL [ERROR: canceling statement due to lock timeout]",
                    (
                        *HIBERNATE_CONVERT,
                        _DEFERRED,
                        f"{_SELECT}(SingleIdEntityLoaderStandardImpl.java:75)",
                        (
                            "com.shopwave.inventory.stock.ReservationSweeper.lock"
                            "(ReservationSweeper.java:83)"
                        ),
                        (
                            "com.shopwave.inventory.stock.ReservationSweeper.sweep"
                            "(ReservationSweeper.java:59)"
                        ),
                        *EXECUTOR,
                    ),
                ),
                _POSTGRES,
            ),
        ),
    ),
)
