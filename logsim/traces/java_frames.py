"""Frames that Java traces of different scenarios have in common, innermost first.

Line numbers follow JDK 17, Spring Framework 6.1, Hibernate 6.4 and HikariCP 5.1; they make a trace
recognisable and promise nothing.
"""

from __future__ import annotations

THREAD = ("java.base/java.lang.Thread.run(Thread.java:833)",)

EXECUTOR = (
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1136)",
    "java.base/java.util.concurrent.ThreadPoolExecutor$Worker.run(ThreadPoolExecutor.java:635)",
    *THREAD,
)

ASYNC_SUPPLY = (
    "java.base/java.util.concurrent.CompletableFuture$AsyncSupply.run(CompletableFuture.java:1768)",
    *EXECUTOR,
)

SCHEDULED = (
    (
        "org.springframework.scheduling.support.DelegatingErrorHandlingRunnable.run"
        "(DelegatingErrorHandlingRunnable.java:54)"
    ),
    "java.base/java.util.concurrent.Executors$RunnableAdapter.call(Executors.java:539)",
    "java.base/java.util.concurrent.FutureTask.runAndReset(FutureTask.java:305)",
    (
        "java.base/java.util.concurrent.ScheduledThreadPoolExecutor$ScheduledFutureTask.run"
        "(ScheduledThreadPoolExecutor.java:305)"
    ),
    *EXECUTOR,
)

KAFKA_LISTENER_THREAD = (
    "java.base/java.util.concurrent.CompletableFuture$AsyncRun.run(CompletableFuture.java:1804)",
    *THREAD,
)

HIKARI_GET_CONNECTION = (
    "com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:686)",
    "com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:179)",
    "com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:144)",
    "com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:127)",
)

HIBERNATE_CONVERT = (
    (
        "org.hibernate.exception.internal.SQLExceptionTypeDelegate.convert"
        "(SQLExceptionTypeDelegate.java:51)"
    ),
    (
        "org.hibernate.exception.internal.StandardSQLExceptionConverter.convert"
        "(StandardSQLExceptionConverter.java:58)"
    ),
    "org.hibernate.engine.jdbc.spi.SqlExceptionHelper.convert(SqlExceptionHelper.java:108)",
)

SOCKET_READ = (
    "java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:283)",
    "java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:309)",
    "java.base/sun.nio.ch.NioSocketImpl.read(NioSocketImpl.java:350)",
    "java.base/sun.nio.ch.NioSocketImpl$1.read(NioSocketImpl.java:803)",
    "java.base/java.net.Socket$SocketInputStream.read(Socket.java:966)",
)


def spring_transaction(bean: str, method: str) -> tuple[str, ...]:
    """From opening a transaction down to the call of the proxied `bean` (full class name)."""
    return (
        (
            "org.springframework.transaction.support.AbstractPlatformTransactionManager.startTransaction"
            "(AbstractPlatformTransactionManager.java:531)"
        ),
        (
            "org.springframework.transaction.support.AbstractPlatformTransactionManager.getTransaction"
            "(AbstractPlatformTransactionManager.java:405)"
        ),
        (
            "org.springframework.transaction.interceptor.TransactionAspectSupport"
            ".createTransactionIfNecessary(TransactionAspectSupport.java:610)"
        ),
        (
            "org.springframework.transaction.interceptor.TransactionAspectSupport"
            ".invokeWithinTransaction(TransactionAspectSupport.java:379)"
        ),
        *spring_proxy(bean, method),
    )


def spring_proxy(bean: str, method: str) -> tuple[str, ...]:
    """A transactional call through Spring's CGLIB proxy of `bean` (full class name)."""
    return (
        (
            "org.springframework.transaction.interceptor.TransactionInterceptor.invoke"
            "(TransactionInterceptor.java:119)"
        ),
        (
            "org.springframework.aop.framework.ReflectiveMethodInvocation.proceed"
            "(ReflectiveMethodInvocation.java:184)"
        ),
        (
            "org.springframework.aop.framework.CglibAopProxy$CglibMethodInvocation.proceed"
            "(CglibAopProxy.java:765)"
        ),
        (
            "org.springframework.aop.framework.CglibAopProxy$DynamicAdvisedInterceptor.intercept"
            "(CglibAopProxy.java:717)"
        ),
        f"{bean}$$SpringCGLIB$$0.{method}(<generated>)",
    )
