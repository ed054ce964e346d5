"""Part `failover`: the manager, its checks, its figures, its endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from nonrt_process.consumer import Consumer
from nonrt_process.context import Context
from nonrt_process.failover import occupancy
from nonrt_process.failover.diagnosis import Examiner
from nonrt_process.failover.hands import RtHands
from nonrt_process.failover.intervention import Intervention
from nonrt_process.failover.manager import TICK_NS, Manager
from nonrt_process.failover.restart_record import RestartRecord
from nonrt_process.failover.router import make_router
from nonrt_process.interfaces import (
    HEALTHY,
    FailoverControl,
    Finding,
    HealthStatus,
    ProcessName,
)
from nonrt_process.plugins import Plugin
from shared.segment import Segment

if TYPE_CHECKING:
    from shared.config.models.failover_policy import FailoverPolicy


def create(context: Context) -> Plugin:
    """Make the part."""
    return FailoverPlugin(context)


class FailoverPlugin(Plugin):
    """See the module."""

    def __init__(self, context: Context) -> None:
        log = context.log.getChild("failover")

        def policy() -> FailoverPolicy:
            return context.config.current.failover_policy.rt_process

        def attach() -> None:
            Segment.attach(context.instance).detach()

        paths = context.config.current.paths
        file = paths.data_dir / f"{context.instance}.intervention.json"
        self._intervention = Intervention(file, context.clock, log)
        self._record = RestartRecord(paths.run_dir / f"{context.instance}.restarts.json", log)
        self._manager = manager = Manager(
            policy,
            RtHands(context),
            Examiner(attach),
            self._intervention,
            self._record,
            context.clock,
            log,
        )
        super().__init__(
            "failover",
            consumers=[_Ticker(manager)],
            routers=[make_router(context, manager)],
            health_checks=[
                _Check("failover", "rt_process", self._manual),
                _Check("records", "rt_process", self._records),
                _Check("command_queue", "rt_process", lambda: occupancy.command_queue(context)),
                _Check("rings", "non_rt_process", lambda: occupancy.rings(context)),
            ],
            metrics=[_Metrics(manager)],
        )
        context.provide(FailoverControl, manager)

    def start(self) -> None:
        """See whether a person was asked for before this process began."""
        self._intervention.load()

    def stop(self) -> None:
        """Stopped in order, so by a person: whoever starts it again begins to count anew."""
        self._record.save([])

    def _manual(self) -> Finding:
        reason = self._intervention.reason or self._manager.absence
        if not reason:
            return HEALTHY
        return Finding(HealthStatus.UNHEALTHY, f"MANUAL_INTERVENTION: {reason}")

    def _records(self) -> Finding:
        """Validity of the segment and what is written into it."""
        fault = self._manager.diagnosis.unseen
        if not fault:
            return HEALTHY
        return Finding(HealthStatus.UNHEALTHY, f"the RT process cannot be trusted: {fault}")


class _Check:
    def __init__(self, name: str, process: ProcessName, function: Callable[[], Finding]) -> None:
        self.name = name
        self.process: ProcessName = process
        self._function = function

    def check(self, _now_ns: int) -> Finding:
        return self._function()


class _Ticker(Consumer):
    """Reads no ring: the pump's clock drives the manager."""

    name = "failover"
    interval_s = TICK_NS / 1e9

    def __init__(self, manager: Manager) -> None:
        super().__init__()
        self._manager = manager

    def on_tick(self, now_ns: int) -> None:
        self._manager.tick(now_ns)


class _Metrics:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def collect(self) -> Iterable[Metric]:
        status = self._manager.status()
        kills = CounterMetricFamily(
            "mxrc_failover_kills",
            "RT processes that the failover manager has killed",
            labels=["process"],
        )
        kills.add_metric(["rt_process"], self._manager.kills)
        yield kills
        asked = CounterMetricFamily(
            "mxrc_failover_requests",
            "Times that an RT process was asked to step down or hand over",
            labels=["process"],
        )
        asked.add_metric(["rt_process"], self._manager.requests)
        yield asked
        manual = GaugeMetricFamily(
            "mxrc_failover_manual_intervention",
            "1 while the restart limit is used up and a person has to look",
            labels=["process"],
        )
        manual.add_metric(["rt_process"], float(status["manual_intervention"] is not None))
        yield manual
