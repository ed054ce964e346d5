from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from nonrt_process.traces.bottlenecks import CALM, Bottlenecks
from nonrt_process.traces.critical_path import Timed, critical_path
from nonrt_process.traces.operations import MAX_OPERATIONS, OTHER, SLICE_NS, Operations
from nonrt_process.traces.operations_router import make_router
from shared.clock import FakeClock
from shared.config.models.tracing_config import Bottlenecks as Settings
from shared.enums import EventKind, SpanOperation, SpanStatus
from tests.unit.nonrt_process.fakes import events

MS = 1_000_000
NAMES = {0: "", 1: "pick", 2: "main", 10: "quick", 11: "slow"}


def timed(name: str, parent: str, start: int, end: int) -> Timed:
    return Timed(name.encode(), parent.encode(), name, start, end)


def own_times(*spans: Timed) -> dict[str, int]:
    return {span.operation: ns for span, ns in critical_path(spans, spans[0])}


def test_critical_path_of_a_sequence() -> None:
    root = timed("task", "", 0, 100)
    found = own_times(root, timed("a", "task", 5, 30), timed("b", "task", 30, 90))
    assert found == {"task": 15, "a": 25, "b": 60}


def test_critical_path_of_what_runs_side_by_side() -> None:
    root = timed("root", "", 0, 100)
    long, short = timed("long", "root", 10, 90), timed("short", "root", 20, 40)
    inner = timed("inner", "long", 50, 80)
    found = own_times(root, short, long, inner)
    assert found == {"root": 20, "long": 50, "inner": 30}
    assert sum(found.values()) == 100


def test_critical_path_bounds_what_is_outside_and_circles() -> None:
    root = timed("root", "", 0, 100)
    found = own_times(root, timed("late", "root", 60, 500), timed("root", "late", 0, 100))
    assert found == {"root": 60, "late": 40}


def run(number: int, slow_ms: float, planned_ms: float = 0, failed: bool = False) -> Any:
    """A task of a quick and a slow action, one second after the other."""
    begin = number * 1000 * MS
    middle, end = begin + 2 * MS, begin + 2 * MS + round(slow_ms * MS)
    trace = [number + 1] * 16
    status = SpanStatus.ERROR if failed else SpanStatus.OK

    def span(code: int, own: int, parent: int, start: int, stop: int, **more: Any) -> Any:
        return {
            "kind": EventKind.SPAN,
            "code": code,
            "trace_id": trace,
            "trace_flags": 1,
            "span_id": [own, number + 1] * 4,
            "parent_span_id": [parent, number + 1] * 4,
            "task_name": 1,
            "start_ns": start,
            "time_ns": stop,
            "span_status": status,
            **more,
        }

    action = {"sequence_name": 2}
    return events(
        [
            span(3, 3, 2, begin, middle, action_name=10, args=[2 * MS] * 2 + [0] * 4, **action),
            span(
                SpanOperation.ACTION_EXECUTE,
                4,
                2,
                middle,
                end,
                action_name=11,
                args=[planned_ms * MS, slow_ms * MS, 0, 0, 0, 0],
                **action,
            ),
            span(2, 2, 1, begin, end, sequence_name=2),
            span(1, 1, 9, begin, end),
        ]
    )  # fmt: skip


class Setup:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = logging.getLogger("test.bottlenecks")
        self.detector = Bottlenecks(lambda: self.settings, self.log)
        self.runs = 0

    def run(self, slow_ms: float, times: int = 5, **more: Any) -> None:
        for _ in range(times):
            self.runs += 1
            self.detector.tick(self.runs * SLICE_NS // 5)
            self.detector.observe_rt(run(self.runs, slow_ms, **more), NAMES.__getitem__)
        self.detector.tick((self.runs + 1) * SLICE_NS // 5)

    @property
    def found(self) -> dict[str, str]:
        return {name: one.step for name, one in self.detector.found.items()}


SLOW = "action.execute pick/slow"


def test_a_slow_action_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="test.bottlenecks")
    setup = Setup(Settings())
    setup.run(40)
    assert setup.found == {SLOW: SLOW}, "neither its task nor the quick one"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "action.execute pick/slow takes 40.0 ms" in record.getMessage()
    assert "takes 95 % of the critical path" in record.getMessage()
    assert len(setup.detector.found[SLOW].trace_id) == 32


def test_what_was_planned_is_no_bottleneck() -> None:
    setup = Setup(Settings())
    setup.run(800, planned_ms=800)
    assert setup.found == {}


def test_a_task_with_a_threshold_names_its_step() -> None:
    task = "task.execute pick"
    setup = Setup(Settings(thresholds_ms={"task.execute pi*": 500}))
    setup.run(800, planned_ms=800)
    assert setup.found == {task: SLOW}
    assert 0.99 < setup.detector.found[task].share < 1


def test_it_ends_well_below_the_threshold_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="test.bottlenecks")
    setup = Setup(Settings(threshold_ms=10))
    setup.run(12, times=30)
    assert setup.found == {SLOW: SLOW}
    setup.run(10 * (CALM + 0.1), times=40)
    assert setup.found == {SLOW: SLOW}, "between both bounds nothing changes"
    setup.run(1, times=40)
    assert setup.found == {}
    setup.run(10 * (CALM + 0.1), times=40)
    assert setup.found == {}
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_it_ends_when_nothing_runs_any_longer() -> None:
    setup = Setup(Settings())
    setup.run(40)
    setup.detector.tick(setup.runs * SLICE_NS + 100 * SLICE_NS)
    assert setup.found == {}


def test_figures() -> None:
    setup = Setup(Settings())
    setup.run(40, times=3)
    setup.run(40, times=1, failed=True)
    figure = setup.detector.figures(setup.runs * SLICE_NS // 5)[SLOW]
    assert figure.spans == 4
    assert figure.mean_s == pytest.approx(0.04)
    assert 0.04 <= figure.p95_s <= 0.04 * 1.2
    assert figure.error_ratio == 0.25


def test_p95_within_a_bucket_and_a_bound_on_names() -> None:
    operations = Operations()
    random = np.random.default_rng(3)
    values = random.lognormal(15, 1, 5000)
    operations.observe(0, "a", values, values, 0)
    true = float(np.percentile(values, 95)) / 1e9
    assert true * 0.99 <= operations.figures(0)["a"].p95_s <= true * 1.2
    for number in range(2 * MAX_OPERATIONS):
        operations.observe(0, f"op{number}", values[:1], values[:1], 0)
    figures = operations.figures(0)
    assert len(figures) == MAX_OPERATIONS + 1
    assert sum(one.spans for one in figures.values()) == 5000 + 2 * MAX_OPERATIONS
    assert figures[OTHER].spans > MAX_OPERATIONS - 2
    operations.forget_idle(7 * SLICE_NS)
    assert operations.figures(7 * SLICE_NS) == {}


def test_figures_over_http() -> None:
    setup = Setup(Settings(thresholds_ms={"task.execute *": 4000}))
    setup.run(slow_ms=50, planned_ms=20)
    app = FastAPI()
    app.include_router(make_router(setup.detector, FakeClock((setup.runs + 1) * SLICE_NS // 5)))
    with TestClient(app) as client:
        rows = client.get("/api/v1/tracing/operations").json()["operations"]
    found = {row["operation"]: row for row in rows}
    assert rows[0]["operation"] == SLOW
    slow, task = found[SLOW], found["task.execute pick"]
    assert slow["spans"] == 5
    assert slow["mean_ms"] == pytest.approx(50)
    assert (slow["judged_ms"], slow["threshold_ms"]) == (pytest.approx(30), 10)
    assert slow["bottleneck"]["step"] == SLOW
    assert len(slow["bottleneck"]["trace_id"]) == 32
    assert task["bottleneck"] is None
    assert (task["judged_ms"], task["threshold_ms"]) == (pytest.approx(52), 4000)
