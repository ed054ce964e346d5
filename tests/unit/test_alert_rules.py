"""The alert rules: valid, and about metrics that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT, require_tool

RULES = sorted((ROOT / "deploy" / "prometheus").glob("*.yml"))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_rules(path: Path) -> None:
    """docs/metrics.md names what there is; test_docs.py compares it with the code."""
    tool = require_tool("promtool", "prometheus")
    done = subprocess.run([tool, "check", "rules", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    documented = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for rule in rules:
        named = re.findall(r"mxrc_\w+", rule["expr"])
        assert named or "up{" in rule["expr"]
        assert [name for name in named if f"| `{name}` |" not in documented] == []
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")


def test_both_files_are_looked_at() -> None:
    assert [path.name for path in RULES] == ["mxrc-alerts.yml", "mxrc-tracing-alerts.yml"]
