"""Part `checkpoints`: the writer, its health, its figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import CounterMetricFamily, Metric

from nonrt_process.checkpoints.writer import CheckpointWriter
from nonrt_process.context import Context
from nonrt_process.interfaces import CheckpointInfo, EventBus
from nonrt_process.plugins import Plugin
from shared import checkpoint_snapshot

if TYPE_CHECKING:
    from shared.segment import Segment

MAX_EVENTS: Final = 256
"""In one checkpoint."""


def create(context: Context) -> Plugin:
    """Make the part."""
    return CheckpointsPlugin(context)


class CheckpointsPlugin(Plugin):
    """See the module."""

    def __init__(self, context: Context) -> None:
        def interval_ns() -> int:
            policy = context.config.current.failover_policy.rt_process
            return round(policy.checkpoint_interval_sec * 1e9)

        def take(segment: Segment, instance: str) -> dict[str, Any] | None:
            bus = context.get(EventBus)
            events = () if bus is None else bus.queued(MAX_EVENTS)
            return checkpoint_snapshot.take(segment, instance, events)

        self._writer = CheckpointWriter(
            context.config.current.paths.checkpoint_dir,
            context.instance,
            context.clock,
            interval_ns,
            context.log.getChild("checkpoints"),
            take=take,
        )
        super().__init__(
            "checkpoints",
            consumers=[self._writer],
            health_checks=[self._writer],
            metrics=[_Metrics(self._writer)],
        )
        context.provide(CheckpointInfo, self._writer)

    def start(self) -> None:
        """Look at the files there are."""
        self._writer.load()


class _Metrics:
    """What the contract's two gauges (age, size) do not tell."""

    def __init__(self, writer: CheckpointWriter) -> None:
        self._writer = writer

    def collect(self) -> Iterable[Metric]:
        written = CounterMetricFamily(
            "mxrc_failover_checkpoints_written",
            "Checkpoints written since this process started",
            labels=["process"],
        )
        written.add_metric(["rt_process"], self._writer.written)
        yield written
        failed = CounterMetricFamily(
            "mxrc_failover_checkpoint_failures",
            "Attempts to write a checkpoint that failed",
            labels=["process"],
        )
        failed.add_metric(["rt_process"], self._writer.failures)
        yield failed
