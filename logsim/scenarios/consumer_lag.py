"""Message-queue consumer lag: the group falls behind and is thrown out for polling too rarely."""

from __future__ import annotations

from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error, python_error
from logsim.services import ANALYTICS, INVENTORY, NOTIFICATION, ORDER
from logsim.traces.java import Thrown
from logsim.traces.java_frames import KAFKA_LISTENER_THREAD
from logsim.traces.python import library, own

MAX_POLL_INTERVAL_MS = 300_000
LAG_LIMIT = 10_000
PARTITIONS = 12


def draw(random: Random, _request: Request, pressure: float, _now_ms: int) -> Values:
    lag = LAG_LIMIT + 500 + int(pressure * 180_000)
    committed = 4_000_000 + random.getrandbits(20)
    rate_in = 900 + random.getrandbits(7)
    rate_out = 180 + random.getrandbits(6)
    return {
        "topic": "order-events",
        "partition": random.getrandbits(8) % PARTITIONS,
        "lag": lag,
        "limit": LAG_LIMIT,
        "committed": committed,
        "end": committed + lag,
        "rate_in": rate_in,
        "rate_out": rate_out,
        "growth": rate_in - rate_out,
        "max_poll_ms": MAX_POLL_INTERVAL_MS,
        "over_ms": 20 + random.getrandbits(10),
    }


_MESSAGE = (
    "Message-queue consumer lag: %(lag)d messages behind on %(topic)s[%(partition)d] "
    "(limit %(limit)d)"
)


def _details(group: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Consumer group", f"{group}, %(topic)s partition %(partition)d"),
        ("Offsets", "committed %(committed)d, log end %(end)d, lag %(lag)d"),
        ("Rates", "in %(rate_in)d/s, out %(rate_out)d/s, lag grows by %(growth)d/s"),
        ("Poll interval", "%(max_poll_ms)d ms exceeded by %(over_ms)d ms"),
    )


_COMMIT_FAILED = (
    "Offset commit cannot be completed since the consumer is not part of an active group for auto "
    "partition assignment; it is likely that the consumer was kicked out of the group."
)
_CONSUMER = "org.springframework.kafka.listener.KafkaMessageListenerContainer$ListenerConsumer"

_JAVA_CHAIN = (
    Thrown(
        "java.lang.IllegalStateException",
        "This error handler cannot process 'org.apache.kafka.clients.consumer"
        ".CommitFailedException's; no record information is available",
        (
            (
                "org.springframework.kafka.listener.DefaultErrorHandler.handleOtherException"
                "(DefaultErrorHandler.java:198)"
            ),
            f"{_CONSUMER}.handleConsumerException(KafkaMessageListenerContainer.java:1944)",
            f"{_CONSUMER}.run(KafkaMessageListenerContainer.java:1384)",
            *KAFKA_LISTENER_THREAD,
        ),
    ),
    Thrown(
        "org.apache.kafka.clients.consumer.CommitFailedException",
        _COMMIT_FAILED,
        (
            (
                "org.apache.kafka.clients.consumer.internals.ConsumerCoordinator"
                ".sendOffsetCommitRequest(ConsumerCoordinator.java:1336)"
            ),
            (
                "org.apache.kafka.clients.consumer.internals.ConsumerCoordinator.commitOffsetsSync"
                "(ConsumerCoordinator.java:1161)"
            ),
            "org.apache.kafka.clients.consumer.KafkaConsumer.commitSync(KafkaConsumer.java:1479)",
            f"{_CONSUMER}.doCommitSync(KafkaMessageListenerContainer.java:3204)",
            f"{_CONSUMER}.commitSync(KafkaMessageListenerContainer.java:3171)",
            f"{_CONSUMER}.commitIfNecessary(KafkaMessageListenerContainer.java:3131)",
            f"{_CONSUMER}.processCommits(KafkaMessageListenerContainer.java:2903)",
            f"{_CONSUMER}.pollAndInvoke(KafkaMessageListenerContainer.java:1425)",
            f"{_CONSUMER}.run(KafkaMessageListenerContainer.java:1325)",
        ),
        wrapped_in=3,
    ),
)

_PYTHON_COMMIT_FAILED = (
    "CommitFailedError: Commit cannot be completed since the group has already rebalanced and "
    "assigned the partitions to another member. This means that the time between subsequent calls "
    "to poll() was longer than the configured max_poll_interval_ms."
)

SCENARIO = Scenario(
    name="consumer-lag",
    code="CONSUMER_LAG",
    title="Message-queue consumer lag",
    draw=draw,
    templates=(
        java_error(
            ORDER,
            logger="events.PaymentEventListener",
            thread="payment-events-0-C-1",
            message=_MESSAGE,
            details=_details("order-service"),
            recovery="Consumer rejoins the group; max.poll.records lowered from 500 to 100",
            chain=_JAVA_CHAIN,
        ),
        java_error(
            INVENTORY,
            logger="events.OrderEventListener",
            thread="order-events-0-C-1",
            message=_MESSAGE,
            details=_details("inventory-service"),
            recovery="Consumer rejoins the group; two more pods requested from the autoscaler",
            chain=_JAVA_CHAIN,
        ),
        python_error(
            NOTIFICATION,
            logger="events.consumer",
            message=_MESSAGE,
            details=_details("notification-service"),
            recovery="Consumer rejoins the group; batch size lowered from 500 to 100",
            frames=(
                own("notification/__main__.py", 24, "<module>", "main()"),
                own("notification/__main__.py", 19, "main", "consumer.run_forever()"),
                own("notification/events/consumer.py", 96, "run_forever", "self._commit(batch)"),
                own(
                    "notification/events/consumer.py",
                    71,
                    "_commit",
                    "self._kafka.commit(batch.offsets)",
                ),
                library(
                    "kafka/consumer/group.py",
                    528,
                    "commit",
                    "self._coordinator.commit_offsets_sync(offsets)",
                ),
                library(
                    "kafka/coordinator/consumer.py",
                    519,
                    "commit_offsets_sync",
                    "raise future.exception # pylint: disable-msg=raising-bad-type",
                ),
                library("kafka/future.py", 79, "_call_backs", "f(value)"),
                library(
                    "kafka/coordinator/consumer.py",
                    659,
                    "_handle_offset_commit_response",
                    "raise error_type(self.group_id)",
                ),
            ),
            error_type="kafka.errors.CommitFailedError",
            error_message=_PYTHON_COMMIT_FAILED,
        ),
        python_error(
            ANALYTICS,
            logger="ingest.stream",
            thread="ingest-1",
            message=_MESSAGE,
            details=_details("analytics-engine"),
            recovery="Consumer rejoins the group; enrichment is skipped until the lag is below "
            "%(limit)d",
            frames=(
                own("analytics/ingest/stream.py", 148, "run", "for batch in self._batches():"),
                own("analytics/ingest/stream.py", 121, "_batches", "self._checkpoint(offsets)"),
                own("analytics/ingest/stream.py", 89, "_checkpoint", "self._kafka.commit(offsets)"),
                library(
                    "kafka/consumer/group.py",
                    528,
                    "commit",
                    "self._coordinator.commit_offsets_sync(offsets)",
                ),
                library(
                    "kafka/coordinator/consumer.py",
                    509,
                    "commit_offsets_sync",
                    "self._client.poll(future=future)",
                ),
                library(
                    "kafka/client_async.py",
                    602,
                    "poll",
                    "responses.extend(self._fire_pending_completed_requests())",
                ),
                library(
                    "kafka/client_async.py",
                    914,
                    "_fire_pending_completed_requests",
                    "future.success(response)",
                ),
                library(
                    "kafka/future.py",
                    36,
                    "success",
                    "self._call_backs('callback', self._callbacks, self.value)",
                ),
                library(
                    "kafka/coordinator/consumer.py",
                    659,
                    "_handle_offset_commit_response",
                    "raise error_type(self.group_id)",
                ),
            ),
            error_type="kafka.errors.CommitFailedError",
            error_message=_PYTHON_COMMIT_FAILED,
        ),
    ),
)
