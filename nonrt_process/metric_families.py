"""Metric families, made sample by sample and merged by name: each has one help and one type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.samples import Exemplar as OpenMetricsExemplar

from nonrt_process.interfaces import Exemplar

Labels = Mapping[str, str]


@dataclass
class Families:
    """Collects samples; `metrics` gives the families in the order in which they first came.

    Names are without `_total`; every sample has the label `process` in `labels`.
    """

    _families: dict[str, Metric] = field(default_factory=dict)

    def gauge(self, name: str, help_text: str, value: float, labels: Labels) -> None:
        """Add a sample of a gauge."""
        family = self._get(name, GaugeMetricFamily, help_text)
        family.add_sample(name, dict(labels), value)

    def counter(self, name: str, help_text: str, value: float, labels: Labels) -> None:
        """Add a sample of a counter."""
        family = self._get(name, CounterMetricFamily, help_text)
        family.add_sample(f"{name}_total", dict(labels), value)

    def histogram(
        self,
        name: str,
        help_text: str,
        edges: Sequence[float],
        cumulative: Sequence[int],
        total: int,
        value_sum: float,
        labels: Labels,
        exemplars: Mapping[int, Exemplar] | None = None,
    ) -> None:
        """Add a histogram: cumulative[i] observations <= edges[i], `total` in all.

        exemplars: by index of the bucket, len(edges): above all; OpenMetrics only shows them.
        """
        family = self._get(name, HistogramMetricFamily, help_text)
        shown = {
            index: OpenMetricsExemplar({"trace_id": one.trace_id}, one.value, one.realtime_s)
            for index, one in (exemplars or {}).items()
        }
        bounds = [*(str(float(edge)) for edge in edges), "+Inf"]
        for index, (bound, count) in enumerate(zip(bounds, [*cumulative, total], strict=True)):
            bucket = {**labels, "le": bound}
            family.add_sample(f"{name}_bucket", bucket, count, exemplar=shown.get(index))
        family.add_sample(f"{name}_sum", dict(labels), value_sum)
        family.add_sample(f"{name}_count", dict(labels), total)

    def merge(self, metrics: Iterable[Metric]) -> None:
        """Take over the samples of families made elsewhere."""
        for metric in metrics:
            known = self._families.setdefault(metric.name, metric)
            if known is not metric:
                known.samples.extend(metric.samples)

    def metrics(self) -> list[Metric]:
        """The families."""
        return list(self._families.values())

    def _get(self, name: str, kind: type[Metric], help_text: str) -> Metric:
        family = self._families.get(name)
        if family is None:
            family = kind(name, help_text)  # type: ignore[call-arg]
            self._families[name] = family
        return family
