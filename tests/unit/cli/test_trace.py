from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.test_client import Handler, command, port

__all__ = ["command", "port"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
ROOT_SPAN: dict[str, Any] = {
    "trace_id": TRACE,
    "span_id": "0" * 15 + "1",
    "parent_span_id": None,
    "name": "task.execute",
    "kind": "INTERNAL",
    "process": "a/rt_process@host",
    "start_ns": 1_000_000_000,
    "end_ns": 1_500_000_000,
    "duration_ms": 500.0,
    "error": None,
    "attributes": {"task.id": "pick"},
    "links": [],
}
CHILD = ROOT_SPAN | {
    "span_id": "0" * 15 + "2",
    "parent_span_id": ROOT_SPAN["span_id"],
    "name": "action.execute",
    "start_ns": 1_100_000_000,
    "error": "ERR_TIMEOUT",
}
ROW = {
    "trace_id": TRACE,
    "started_at": "2026-05-01T00:00:00.000Z",
    "duration_ms": 500.0,
    "root": "task.execute",
    "task_id": "pick",
    "spans": 2,
    "error": "ERR_TIMEOUT",
}


def test_list(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Handler.answers = {"/api/v1/traces": (200, {"traces": [ROW]})}
    assert command("trace", "list", "--task", "pick", "--min-duration", "250", "--error") == 0
    shown = capsys.readouterr().out
    assert "pick" in shown
    assert "ERR_TIMEOUT" in shown
    asked = Handler.asked[0][1]
    for part in ("task=pick", "min_duration=250", "error=true", "cycles=false", "limit=20"):
        assert part in asked
    assert command("trace", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [ROW]
    assert "error=" not in Handler.asked[1][1]


def test_show(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"/api/v1/traces/{TRACE}"
    Handler.answers = {path: (200, {"trace_id": TRACE, "spans": [ROOT_SPAN, CHILD]})}
    assert command("trace", "show", TRACE) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["task.execute", "action.execute"]
    assert "ERR_TIMEOUT" in lines[2]
    Handler.answers = {path: (404, {"title": "Unknown trace", "detail": "not kept"})}
    assert command("trace", "show", TRACE) == 1
    assert "Unknown trace: not kept" in capsys.readouterr().err


def test_export(command: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = f"/api/v1/traces/{TRACE}"
    Handler.answers = {path: (200, {"trace_id": TRACE, "spans": [ROOT_SPAN, CHILD]})}
    target = tmp_path / "trace.json"
    assert command("trace", "export", TRACE, "-o", str(target)) == 0
    assert "cycles=true" in Handler.asked[0][1]
    events = json.loads(target.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert [event["name"].split()[0] for event in spans] == ["task.execute", "action.execute"]
    Handler.answers = {path: (200, {"resourceSpans": []})}
    assert command("trace", "export", TRACE, "--format", "otlp-json") == 0
    assert json.loads(capsys.readouterr().out) == {"resourceSpans": []}
    assert "format=otlp-json" in Handler.asked[1][1]
    out = str(tmp_path / "no" / "folder")
    assert command("trace", "export", TRACE, "--format", "otlp-json", "-o", out) == 1
    assert "folder: No such file" in capsys.readouterr().err


def test_sampling(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rates = {"sampling_rate": 0.1, "task_sampling_rate": 1.0, "rt_cycle_sampling_rate": 0.01}
    Handler.answers = {"/api/v1/tracing/sampling": (200, rates)}
    assert command("trace", "sampling", "--json") == 0
    assert json.loads(capsys.readouterr().out) == rates
    assert Handler.asked[0][0] == "GET"
    assert command("trace", "sampling", "--task-rate", "0.5") == 0
    assert Handler.asked[1][0] == "PUT"
    assert Handler.asked[1][3] == {"task_sampling_rate": 0.5}
    assert command("trace", "sampling", "--task-rate", "1.5") != 0
    assert len(Handler.asked) == 2


def test_operations(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "operation": "task.execute pick",
        "spans": 3,
        "mean_ms": 12.5,
        "beyond_ms": 0.0,
        "p95_ms": 20.0,
        "error_ratio": 0.5,
        "threshold_ms": 10.0,
        "judged_ms": 12.5,
        "bottleneck": {"step": "action.execute pick/grip", "share": 0.9, "trace_id": TRACE},
    }
    quiet = row | {"operation": "http.server", "bottleneck": None}
    Handler.answers = {"/api/v1/tracing/operations": (200, {"operations": [row, quiet]})}
    assert command("trace", "operations") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "action.execute pick/grip" in shown[1]
    assert "http.server" in shown[2]
    assert command("trace", "operations", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["operation"] == "task.execute pick"
