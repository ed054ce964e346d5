"""The benchmarks run, and say of what they measured what the documentation says."""

from __future__ import annotations

import json
import math
import re

import pytest

from shared.bench import rings
from shared.bench.figures import COLUMNS, Figure, Report, percentile
from shared.bench.reference import FIGURES
from tests.helpers import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"


def test_a_figure_knows_whether_its_goal_holds() -> None:
    assert Figure("a", "a", 1.6, "", 1.6).holds is True
    assert Figure("a", "a", 1.61, "", 1.6).holds is False
    assert Figure("a", "a", math.nan, "", 1.6).holds is False
    assert Figure("a", "a", 1.0, "ns").holds is None


def test_report_is_json_and_a_table() -> None:
    report = Report(
        [Figure("publish_ratio", "publish", 2.0, "", 1.6), Figure("x", "x", math.nan, "")]
    )
    document = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert [one["value"] for one in document["figures"]] == [2.0, None]
    assert document["figures"][0]["documented"] == FIGURES["publish_ratio"]
    (first, second) = report.rows()
    assert set(first) == set(COLUMNS)
    assert (first["verdict"], second["verdict"]) == ("MISSED", "")


def test_percentile_of_nothing() -> None:
    assert math.isnan(percentile([], 50))
    assert percentile([3, 1, 2], 50) == 2


@pytest.mark.parametrize("key", FIGURES)
def test_documented_figures_are_in_the_documentation(key: str) -> None:
    rows = re.findall(r"^\| `(\S+)` \|.*?\| ([\d.]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert {name: float(value) for name, value in rows}[key] == FIGURES[key]


def test_rings_are_measured() -> None:
    figures = [*rings.publish(3, count=1000), *rings.batch_read(2), *rings.paced(200, 2)]
    assert all(one.value > 0 for one in figures)
    assert len({one.key for one in figures}) == len(figures)
