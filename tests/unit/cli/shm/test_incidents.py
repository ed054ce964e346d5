"""What `mxrc shm incidents show` says of what is not in the file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.incident_file import FOLDER, VERSION
from tests.unit.cli.shm.conftest import Run

HEAD: dict[str, Any] = {
    "id": "20260101T000000-300",
    "instance": "arm1",
    "time": "2026-01-01T00:00:00.000000000Z",
    "why": "late cycle",
    "then": ["SAFE_MODE"],
    "period_us": 1000.0,
    "deadline_us": 900.0,
    "late": [
        {
            "cycle": 300,
            "missed": True,
            "late_us": 100.0,
            "causes": ["worked long"],
            "entry": "law",
            "entry_us": 950.0,
            "woke_late_us": 5.0,
            "worked_us": 995.0,
            "facts": ["2 major page faults"],
            "inferred": [],
        }
    ],
    "late_count": 51,
    "skipped": 0,
    "lost": 0,
    "folded_before": 0,
    "usage": True,
    "trace_ids": [],
}


@pytest.fixture
def show(
    run: Run, instance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    monkeypatch.setenv("MXRC_INSTANCE__DATA_DIR", str(tmp_path))

    def write_and_show(**fields: Any) -> list[str]:
        folder = tmp_path / FOLDER
        folder.mkdir(exist_ok=True)
        document = {"version": VERSION, "head": HEAD | fields}
        path = folder / f"{instance}-{HEAD['id']}.json.gz"
        path.write_bytes(gzip.compress(json.dumps(document).encode()))
        done = run("incidents", "show")
        assert done.status == 0, done.stderr
        return done.stdout.splitlines()

    return write_and_show


def test_each_late_cycle_has_its_cause(show: Callable[..., list[str]]) -> None:
    lines = show()
    assert "late cycle, then SAFE_MODE" in lines[0]
    assert "51 late cycles" in lines[1]
    assert "  cause: worked long in law (950.0 us)" in lines
    assert "  2 major page faults" in lines
    assert lines[-1] == "and 50 more"
    assert not any("folded" in line or "lost" in line for line in lines)


def test_what_was_folded_into_a_storm_and_what_was_lost_is_said(
    show: Callable[..., list[str]],
) -> None:
    lines = show(folded_before=412, lost=7)
    assert "folded before it: 412 late cycles of a storm, no file" in lines
    assert "lost: 7 cycles in between were overwritten before they were read" in lines
