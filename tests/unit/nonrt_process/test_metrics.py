"""/metrics: every name of the contract, values from the segment, both formats, promtool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.testclient import TestClient

from nonrt_process.application import Application
from nonrt_process.interfaces import (
    Checkpoint,
    CheckpointInfo,
    HistogramSnapshot,
    LogStatistics,
    PluginList,
    ProcessName,
    RtStatistics,
    TaskService,
    TraceStatistics,
)
from nonrt_process.metric_families import Families
from nonrt_process.metrics.plugin import MetricsCollector, make_app
from shared.clock import FakeClock
from shared.core import ffi, lib
from shared.enums import RegionId
from shared.metrics_def import counters, histograms
from shared.segment import Segment
from tests.helpers import require_tool
from tests.unit.nonrt_process.fakes import (
    FakeHeart,
    become_primary,
    cycles,
    fake_context,
    real_segment,
)

CONTRACT = {
    "mxrc_cpu_affinity_info",
    "mxrc_cpu_current_core",
    "mxrc_numa_node",
    "mxrc_numa_local_memory_percent",
    "mxrc_rt_cycle_count_total",
    "mxrc_rt_deadline_miss_count_total",
    "mxrc_rt_deadline_miss_rate",
    "mxrc_rt_cycle_time_us_bucket",
    "mxrc_rt_jitter_us",
    "mxrc_process_health_status",
    "mxrc_process_restart_count_total",
    "mxrc_failover_checkpoint_age_seconds",
    "mxrc_failover_checkpoint_size_bytes",
    "mxrc_logging_events_total",
    "mxrc_logging_latency_us_bucket",
    "mxrc_tracing_spans_total",
    "mxrc_tracing_sampling_rate",
    "mxrc_tracing_export_latency_ms_bucket",
}
ABBREVIATED = re.compile(r"mxrc_\w+_(us|ms) metric names should not contain abbreviated units")


class FakeParts:
    """What other plugins offer."""

    def events_by_level(self) -> Mapping[str, int]:
        return {"info": 3}

    def latency_us(self) -> HistogramSnapshot:
        return HistogramSnapshot((100.0, 1000.0), (4, 3, 2), 5000.0)

    def dropped(self) -> Any:
        return {"rt_process": 1, "non_rt_process": 2}

    def last(self, process: ProcessName) -> Checkpoint:
        return Checkpoint("id", "/x", 1_700_000_000_000_000_000, 2_000_000_000, 4096)

    def counts_by_status(self) -> Mapping[str, int]:
        return {"PENDING": 1, "RUNNING": 2}

    def queue_depth(self) -> int:
        return 1


class FakeTraces:
    def spans_by_operation(self) -> Mapping[str, int]:
        return {"http.server": 9}

    def export_latency_ms(self) -> HistogramSnapshot:
        return HistogramSnapshot((1.0, 10.0), (1, 0, 0), 0.5)

    def dropped(self) -> int:
        return 0

    def queued(self) -> int:
        return 0

    def export_failures(self) -> int:
        return 0


class Extra:
    def collect(self) -> Sequence[Any]:
        family = CounterMetricFamily("mxrc_logging_events", "Log events written")
        family.add_sample("mxrc_logging_events_total", {"process": "x", "level": "info"}, 5)
        return [family]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Segment, Application]]:
    """A live segment, and an application whose other parts are faked."""
    with real_segment(tmp_path) as (rt, nonrt):
        config = fake_context(tmp_path).config.current
        clock = FakeClock(monotonic_ns=int(lib.mxrc_now_ns()))
        become_primary(rt, heartbeat_ns=clock.monotonic_ns())
        heart = FakeHeart(clock, nonrt)
        app = Application(config, heart, clock, modules=["nonrt_process.health.plugin"])
        parts: Any = FakeParts()
        for protocol in (LogStatistics, CheckpointInfo, TaskService):
            app.context.provide(protocol, parts)
        app.context.provide(TraceStatistics, FakeTraces())
        for plugin in app.plugins():
            plugin.start()
            plugin.metrics = (Extra(),)
        yield rt, app
        heart.segment = None


def client_of(app: Application) -> TestClient:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MetricsCollector(app.context))
    return TestClient(make_app(registry))


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def some_cycles(now_ns: int) -> Any:
    row = {"scheduled_ns": now_ns - 30_000, "wake_ns": now_ns - 10_000, "end_ns": now_ns, "axes": 2}
    return cycles([row])


def fill(rt: Segment, app: Application) -> None:
    metrics = rt.struct(RegionId.RT_METRICS)
    for row in counters():
        metrics.counter[row.index] = row.index + 100
    for histogram in histograms():
        for value in (1, 1_000, 999_999, 5_000_000, 10**12):
            lib.mxrc_histogram_add(ffi.addressof(metrics.histogram[histogram.index]), value)
    statistics: Any = app.context.require(RtStatistics)
    batch = SimpleNamespace(cycles=some_cycles(app.context.clock.monotonic_ns()))
    statistics.on_batch(batch)


def test_every_name_of_the_contract_with_its_process(full: tuple[Segment, Application]) -> None:
    rt, app = full
    fill(rt, app)
    found = samples(client_of(app).get("/metrics").text)
    names = {name for name, _ in found}
    assert names >= CONTRACT
    assert all(dict(labels).get("process") for _, labels in found)
    cores = next(dict(labels) for name, labels in found if name == "mxrc_cpu_affinity_info")
    assert {"configured_cores", "isolation_mode"} <= set(cores)


def test_entries_by_name_where_there_are_some(full: tuple[Segment, Application]) -> None:
    rt, app = full
    entries = rt.struct(RegionId.ENTRIES)
    entries[7].name = b"wear"
    entries[7].wcet_ns = 50_000
    entries[7].exceeded = 3
    for value in (1_000, 60_000):
        lib.mxrc_histogram_add(ffi.addressof(entries[7].histogram), value)
    found = samples(client_of(app).get("/metrics").text)
    key = (("entry", "wear"), ("process", "rt_process"))
    assert found["mxrc_rt_entry_exceeded_total", key] == 3
    assert found["mxrc_rt_entry_seconds_count", key] == 2
    assert found["mxrc_rt_entry_seconds_sum", key] == pytest.approx(61e-6)
    assert found["mxrc_rt_entry_seconds_bucket", (*key[:1], ("le", "5e-05"), *key[1:])] == 1
    assert found["mxrc_rt_entry_declared_seconds", key] == pytest.approx(50e-6)
    assert {dict(labels).get("entry") for _, labels in found} == {None, "wear"}


def test_counters_come_from_the_segment(full: tuple[Segment, Application]) -> None:
    rt, app = full
    fill(rt, app)
    found = samples(client_of(app).get("/metrics").text)
    label = {"mxrc_tracing_spans": "operation", "mxrc_logging_events": "level"}
    for row in counters():
        labels = {"process": "rt_process"} | ({label[row.name]: row.label} if row.label else {})
        scale = 1e-9 if row.name.endswith("_seconds") else 1
        value = found[f"{row.name}_total", tuple(sorted(labels.items()))]
        assert value == pytest.approx((row.index + 100) * scale)


def test_every_bound_is_an_exact_edge(full: tuple[Segment, Application]) -> None:
    rt, app = full
    fill(rt, app)
    found = samples(client_of(app).get("/metrics").text)
    bounds = {
        float(dict(labels)["le"]): value
        for (name, labels), value in found.items()
        if name == "mxrc_rt_cycle_time_us_bucket"
    }
    assert bounds[1.0] == 2  # 1 ns and exactly 1 us
    assert bounds[500.0] == 2
    assert bounds[1000.0] == 3
    assert bounds[5000.0] == 4  # exactly 5 ms
    assert bounds[float("inf")] == 5
    rt_labels = (("process", "rt_process"),)
    assert found["mxrc_rt_cycle_time_us_count", rt_labels] == 5
    assert found["mxrc_rt_cycle_time_us_sum", rt_labels] == pytest.approx(1e9 + 6_000.999 + 0.001)
    assert found["mxrc_rt_jitter_us", rt_labels] == pytest.approx(20)


def test_families_of_several_sources_are_one(full: tuple[Segment, Application]) -> None:
    text = client_of(full[1]).get("/metrics").text
    assert text.count("# TYPE mxrc_logging_events_total counter") == 1
    assert 'mxrc_logging_events_total{level="info",process="x"} 5.0' in text
    assert 'mxrc_logging_events_total{level="info",process="non_rt_process"} 3.0' in text


def test_both_formats(full: tuple[Segment, Application]) -> None:
    client = client_of(full[1])
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0, text/plain;q=0.5"}
    open_metrics = client.get("/metrics", headers=wanted)
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    parsed = parse_openmetrics(open_metrics.text)  # type: ignore[no-untyped-call]
    families = {family.name for family in parsed}
    assert {"mxrc_rt_cycle_count", "mxrc_rt_cycle_time_us"} <= families
    assert client.get("/metrics/", follow_redirects=False).status_code in (307, 404)
    assert client.get("/metrics", follow_redirects=False).status_code == 200


def test_nothing_is_invented_while_rt_is_absent(full: tuple[Segment, Application]) -> None:
    _, app = full
    app.context.heart.segment = None  # type: ignore[misc]
    found = samples(client_of(app).get("/metrics").text)
    assert found["mxrc_rt_attached", (("process", "rt_process"),)] == 0
    rt_names = {name for name, labels in found if ("process", "rt_process") in labels}
    assert not rt_names & {"mxrc_rt_cycle_count_total", "mxrc_rt_jitter_us", "mxrc_numa_node"}
    assert ("mxrc_process_health_status", (("process", "rt_process"),)) in found


def test_a_broken_source_costs_its_own_metrics_only(full: tuple[Segment, Application]) -> None:
    _, app = full

    class Broken:
        def collect(self) -> Sequence[Any]:
            raise OSError("disk")

    plugins: Any = app.context.require(PluginList)
    plugins.plugins()[0].metrics = (Broken(),)
    assert "mxrc_rt_cycle_count_total" in client_of(app).get("/metrics").text


def promtool(text: str) -> list[str]:
    tool = require_tool("promtool", "prometheus")
    done = subprocess.run(
        [tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def test_promtool_finds_only_the_abbreviated_units(full: tuple[Segment, Application]) -> None:
    rt, app = full
    fill(rt, app)
    lines = promtool(client_of(app).get("/metrics").text)
    assert [line for line in lines if not ABBREVIATED.match(line)] == []


class BadName:
    def collect(self) -> Sequence[Any]:
        families = Families()
        families.gauge("mxrc_badTotal_milliseconds", "", 1, {"process": "x"})
        return families.metrics()


def test_promtool_would_find_a_bad_name() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BadName())
    assert promtool(TestClient(make_app(registry)).get("/metrics").text)
