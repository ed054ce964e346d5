"""Part `incidents`: the flight recorder and its figures."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric

from nonrt_process.context import Context
from nonrt_process.incidents.recorder import Recorder
from nonrt_process.plugins import Plugin
from shared import incident_file


def create(context: Context) -> Plugin:
    """Make the part."""
    recorder = Recorder(
        context.config.current.paths.data_dir / incident_file.FOLDER,
        context.instance,
        context.log.getChild("incidents"),
        lambda: context.config.current.rt_schedule.rusage,
    )
    return Plugin("incidents", consumers=[recorder], metrics=[_Metrics(recorder)])


class _Metrics:
    """What the recorder did."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterable[Metric]:
        for name, text, value in (
            ("mxrc_rt_incidents", "Incidents written by the flight recorder", "written"),
            ("mxrc_rt_incidents_folded", "Late cycles that were part of a storm", "folded"),
            (
                "mxrc_rt_incident_lost_cycles",
                "Cycles that were overwritten before the flight recorder read them",
                "lost",
            ),
            ("mxrc_rt_incident_failures", "Incidents that could not be written", "failures"),
        ):
            family = CounterMetricFamily(name, text, labels=["process"])
            family.add_metric(["rt_process"], getattr(self._recorder, value))
            yield family
