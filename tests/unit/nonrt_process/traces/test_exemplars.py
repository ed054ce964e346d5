from __future__ import annotations

from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from nonrt_process.metric_families import Families
from nonrt_process.traces.exemplars import MAX_SERIES, CycleExemplars, HttpTimes
from tests.unit.nonrt_process.fakes import cycles


def exposed(source: Any) -> list[Any]:
    """As a scraper of OpenMetrics reads it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(source)
    text = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return [sample for family in families for sample in family.samples]


def test_the_newest_sampled_request_of_each_bucket() -> None:
    times = HttpTimes()

    def observe(seconds: float, trace_id: str | None, route: str | None = "/a") -> None:
        times.observe("GET", route, 200, seconds, trace_id=trace_id, realtime_s=1000.5)

    observe(0.0009, "1" * 32)
    observe(0.001, "2" * 32)
    observe(0.0008, None)
    observe(30.0, "3" * 32)
    observe(0.01, "4" * 32, None)
    found = exposed(times)
    buckets = {
        sample.labels["le"]: sample
        for sample in found
        if sample.name.endswith("_bucket") and sample.labels["route"] == "/a"
    }
    assert buckets["0.001"].value == 3
    assert buckets["0.001"].exemplar.labels == {"trace_id": "2" * 32}
    assert float(buckets["0.001"].exemplar.timestamp) == 1000.5
    assert buckets["+Inf"].exemplar.labels == {"trace_id": "3" * 32}
    assert buckets["+Inf"].value == 4
    assert buckets["0.5"].exemplar is None
    assert {sample.labels["route"] for sample in found} == {"/a", "none"}


def test_series_are_bounded() -> None:
    times = HttpTimes()
    for number in range(2 * MAX_SERIES):
        times.observe(f"M{number}", "/a", 200, 0.1, trace_id=None, realtime_s=1.0)
    (family,) = times.collect()
    assert sum(sample.name.endswith("_count") for sample in family.samples) == MAX_SERIES


def test_cycles_by_bucket_and_in_openmetrics() -> None:
    edges = (10.0, 100.0)
    exemplars = CycleExemplars(edges)
    took = (5_000, 10_000, 10_001, 250_000)
    made = cycles([{"wake_ns": 1000, "end_ns": 1000 + ns} for ns in took])
    ids = np.arange(4, dtype=np.uint8).repeat(16).reshape(4, 16)
    exemplars.observe(made, ids, np.full(4, 2 * 10**9, np.uint64))
    newest = exemplars.cycle_time()
    assert {bucket: one.trace_id[:2] for bucket, one in newest.items()} == {
        0: "01",
        1: "02",
        2: "03",
    }
    assert newest[0].value == 10.0

    class Source:
        def collect(self) -> Any:
            families = Families()
            families.histogram("t", "help", edges, [2, 3], 4, 275.0, {}, newest)
            return families.metrics()

    shown = [sample for sample in exposed(Source()) if sample.name == "t_bucket"]
    assert [sample.exemplar.labels["trace_id"][:2] for sample in shown] == ["01", "02", "03"]
    assert all(float(sample.exemplar.timestamp) == 2.0 for sample in shown)
