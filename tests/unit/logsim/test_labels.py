"""Ground truth matches the log line by line."""

from __future__ import annotations

from typing import Any

import pytest

from logsim.scenarios import SCENARIOS
from tests.unit.logsim.produce import produce

CODES = {scenario.name: scenario.code for scenario in SCENARIOS}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"incident": True},
        {"error_rate": 1.0},
        {"format": "json", "incident": True},
    ],
)
def test_every_line_is_where_its_label_says(options: dict[str, Any]) -> None:
    texts, labels = produce(1500, **options)
    lines = "".join(texts).splitlines()
    records = [label for label in labels if label["kind"] == "record"]
    covered = [""] * len(lines)
    for label in records:
        for number in range(label["first_line"], label["last_line"] + 1):
            assert not covered[number - 1], "two labels for one line"
            covered[number - 1] = label["level"]
        block = "\n".join(lines[label["first_line"] - 1 : label["last_line"]])
        assert label["request_id"] in block
        assert label["pod"] in block
        assert label["service"] in lines[label["first_line"] - 1]
        if label["level"] == "ERROR":
            assert CODES[label["scenario"]] in block
        if label["level"] == "ERROR" and "format" not in options:
            assert lines[label["first_line"] - 1].startswith("[ERROR]")
            assert lines[label["last_line"] - 1].startswith("--- end of ")
    for line, level in zip(lines, covered, strict=True):
        if line.startswith(("[ERROR]", '{"timestamp"')) and '"level":"ERROR"' in line:
            assert level == "ERROR"
        if not line.startswith(("[INFO]", "[WARN]", "{")):
            assert level == "ERROR", f"an error's line without a label: {line}"
        if not level:
            assert line.startswith(("[INFO]", "[WARN]", "{"))


def test_an_incident_spans_its_records() -> None:
    _, labels = produce(3000, incident=True)
    summaries = [label for label in labels if label["kind"] == "incident"]
    assert len(summaries) >= 3
    for summary in summaries:
        own = [d for d in labels if d["kind"] == "record" and d["incident"] == summary["incident"]]
        assert len(own) == summary["records"]
        assert own[0]["first_line"] == summary["first_line"]
        assert own[-1]["last_line"] == summary["last_line"]
        for phase, line in summary["phase_first_lines"].items():
            assert line == next(d["first_line"] for d in own if d["phase"] == phase)
    assert all(summary["complete"] for summary in summaries[:-1])


def test_an_incident_cut_short_says_so() -> None:
    _, labels = produce(60, incident=True)
    assert labels[-1]["kind"] == "incident"
    assert labels[-1]["complete"] is False
