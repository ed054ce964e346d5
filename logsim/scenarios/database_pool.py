"""Database connection pool exhausted: every connection is busy and threads queue for one."""

from __future__ import annotations

from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error, python_error
from logsim.services import INVENTORY, ORDER, PAYMENT, PROFILE
from logsim.traces.java import Thrown
from logsim.traces.java_frames import (
    ASYNC_SUPPLY,
    HIBERNATE_CONVERT,
    HIKARI_GET_CONNECTION,
    SCHEDULED,
    spring_transaction,
)
from logsim.traces.python import library, own, stdlib

POOL_SIZE = 20
ACQUIRE_TIMEOUT_MS = 3000


def draw(random: Random, _request: Request, pressure: float, _now_ms: int) -> Values:
    return {
        "pool": POOL_SIZE,
        "waiting": 2 + int(pressure * 62),
        "waited_ms": ACQUIRE_TIMEOUT_MS + random.getrandbits(4),
        "limit_ms": ACQUIRE_TIMEOUT_MS,
        "limit_s": f"{ACQUIRE_TIMEOUT_MS / 1000:.2f}",
        "oldest_s": 34 + int(pressure * 240) + random.getrandbits(3),
    }


_HIKARI = (
    "HikariPool-1 - Connection is not available, request timed out after %(waited_ms)dms "
    "(total=%(pool)d, active=%(pool)d, idle=0, waiting=%(waiting)d)"
)
_MESSAGE = (
    "Database connection pool exhausted: %(pool)d/%(pool)d connections active, "
    "%(waiting)d threads waiting"
)


def _details(pool: str, database: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Pool", f"{pool} (total=%(pool)d, active=%(pool)d, idle=0, waiting=%(waiting)d)"),
        ("Database", database),
        ("Acquire timeout", "%(limit_ms)d ms (waited %(waited_ms)d ms)"),
        ("Oldest connection held for", "%(oldest_s)d s"),
    )


_JDBC = Thrown(
    "java.sql.SQLTransientConnectionException",
    _HIKARI,
    (
        *HIKARI_GET_CONNECTION,
        (
            "org.springframework.jdbc.datasource.DataSourceTransactionManager.doBegin"
            "(DataSourceTransactionManager.java:269)"
        ),
    ),
)

_HIBERNATE_POOL = Thrown(
    "java.sql.SQLTransientConnectionException",
    _HIKARI,
    (
        *HIKARI_GET_CONNECTION,
        (
            "org.hibernate.engine.jdbc.connections.internal.DatasourceConnectionProviderImpl"
            ".getConnection(DatasourceConnectionProviderImpl.java:122)"
        ),
        (
            "org.hibernate.internal.NonContextualJdbcConnectionAccess.obtainConnection"
            "(NonContextualJdbcConnectionAccess.java:38)"
        ),
        (
            "org.hibernate.resource.jdbc.internal.LogicalConnectionManagedImpl"
            ".acquireConnectionIfNeeded(LogicalConnectionManagedImpl.java:113)"
        ),
    ),
    # The converter's three frames and the line that called it.
    wrapped_in=4,
)


def _transaction_refused(bean: str, method: str, caller: str) -> Thrown:
    return Thrown(
        "org.springframework.transaction.CannotCreateTransactionException",
        "Could not open JDBC Connection for transaction",
        (
            (
                "org.springframework.jdbc.datasource.DataSourceTransactionManager.doBegin"
                "(DataSourceTransactionManager.java:313)"
            ),
            *spring_transaction(bean, method),
            caller,
            *ASYNC_SUPPLY,
        ),
    )


SCENARIO = Scenario(
    name="db-pool-exhausted",
    code="DB_POOL_EXHAUSTED",
    title="Database connection pool exhausted",
    draw=draw,
    templates=(
        java_error(
            PAYMENT,
            logger="charge.ChargeService",
            thread="payment-worker-7",
            message=_MESSAGE,
            details=_details("HikariPool-1", "jdbc:postgresql://payments-db:5432/payments"),
            recovery=(
                "Retrying with exponential back-off (200 ms, 400 ms, 800 ms); leak detection on, "
                "idle transactions older than 30 s are being terminated"
            ),
            chain=(
                _transaction_refused(
                    "com.shopwave.payment.charge.ChargeService",
                    "authorise",
                    "com.shopwave.payment.charge.ChargeEndpoint.lambda$submit$2"
                    "(ChargeEndpoint.java:91)",
                ),
                _JDBC,
            ),
        ),
        java_error(
            ORDER,
            logger="outbox.OutboxRelay",
            thread="scheduling-1",
            message=_MESSAGE,
            details=_details("HikariPool-1", "jdbc:postgresql://orders-db:5432/orders"),
            recovery="Outbox batch left in place; next attempt in 5 s, pool size alert raised",
            chain=(
                Thrown(
                    "org.hibernate.exception.JDBCConnectionException",
                    f"Unable to acquire JDBC Connection [{_HIKARI}] [n/a]",
                    (
                        *HIBERNATE_CONVERT,
                        (
                            "org.hibernate.resource.jdbc.internal.LogicalConnectionManagedImpl"
                            ".acquireConnectionIfNeeded(LogicalConnectionManagedImpl.java:116)"
                        ),
                        (
                            "org.hibernate.resource.jdbc.internal.LogicalConnectionManagedImpl"
                            ".getPhysicalConnection(LogicalConnectionManagedImpl.java:143)"
                        ),
                        (
                            "org.hibernate.resource.jdbc.internal.LogicalConnectionManagedImpl"
                            ".getConnectionForTransactionManagement"
                            "(LogicalConnectionManagedImpl.java:273)"
                        ),
                        (
                            "org.hibernate.resource.jdbc.internal.LogicalConnectionManagedImpl.begin"
                            "(LogicalConnectionManagedImpl.java:281)"
                        ),
                        (
                            "org.hibernate.resource.transaction.backend.jdbc.internal"
                            ".JdbcResourceLocalTransactionCoordinatorImpl$TransactionDriverControlImpl"
                            ".begin(JdbcResourceLocalTransactionCoordinatorImpl.java:232)"
                        ),
                        (
                            "org.hibernate.engine.transaction.internal.TransactionImpl.begin"
                            "(TransactionImpl.java:83)"
                        ),
                        "com.shopwave.order.outbox.OutboxRelay.relayBatch(OutboxRelay.java:74)",
                        "com.shopwave.order.outbox.OutboxRelay.run(OutboxRelay.java:52)",
                        *SCHEDULED,
                    ),
                ),
                _HIBERNATE_POOL,
            ),
        ),
        java_error(
            INVENTORY,
            logger="stock.StockService",
            thread="stock-worker-3",
            message=_MESSAGE,
            details=_details("HikariPool-1", "jdbc:postgresql://inventory-db:5432/inventory"),
            recovery="Request rejected with 503 and Retry-After: 2; stock reads served from cache",
            chain=(
                _transaction_refused(
                    "com.shopwave.inventory.stock.StockService",
                    "reserve",
                    "com.shopwave.inventory.stock.ReservationEndpoint.lambda$reserve$0"
                    "(ReservationEndpoint.java:58)",
                ),
                _JDBC,
            ),
        ),
        python_error(
            PROFILE,
            logger="repository.users",
            thread="AnyIO worker thread",
            message=_MESSAGE,
            details=_details("QueuePool", "postgresql+psycopg2://profiles-db:5432/profiles"),
            recovery="Answered 503 with Retry-After: 2; pool statistics dumped, pre-ping enabled",
            frames=(
                library(
                    "starlette/concurrency.py",
                    41,
                    "run_in_threadpool",
                    "return await anyio.to_thread.run_sync(func, *args)",
                ),
                stdlib(
                    "concurrent/futures/thread.py",
                    58,
                    "run",
                    "result = self.fn(*self.args, **self.kwargs)",
                ),
                own(
                    "profile_api/routes/users.py",
                    47,
                    "get_profile",
                    "user = repository.load(session, user_id)",
                ),
                own(
                    "profile_api/repository/users.py",
                    63,
                    "load",
                    "return session.execute(statement).scalar_one()",
                ),
                library(
                    "sqlalchemy/orm/session.py",
                    1714,
                    "execute",
                    "conn = self._connection_for_bind(bind)",
                ),
                library(
                    "sqlalchemy/orm/session.py",
                    1555,
                    "_connection_for_bind",
                    "return self._transaction._connection_for_bind(",
                ),
                library(
                    "sqlalchemy/engine/base.py",
                    3325,
                    "raw_connection",
                    "return self._wrap_pool_connect(self.pool.connect, _connection)",
                ),
                library(
                    "sqlalchemy/pool/base.py",
                    327,
                    "connect",
                    "return _ConnectionFairy._checkout(self)",
                ),
                library(
                    "sqlalchemy/pool/base.py",
                    894,
                    "_checkout",
                    "fairy = _ConnectionRecord.checkout(pool)",
                ),
                library("sqlalchemy/pool/base.py", 493, "checkout", "rec = pool._do_get()"),
                library("sqlalchemy/pool/impl.py", 134, "_do_get", "raise exc.TimeoutError("),
            ),
            error_type="sqlalchemy.exc.TimeoutError",
            error_message=(
                "QueuePool limit of size %(pool)d overflow 0 reached, connection timed out, "
                "timeout %(limit_s)s (Background on this error at: https://sqlalche.me/e/14/3o7r)"
            ),
        ),
    ),
)
