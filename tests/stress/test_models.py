"""The SPIN models in models/: each holds, and each of its wrong variants is refuted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers import require_tool

MODELS = Path(__file__).resolve().parents[2] / "models"

RIGHT = [
    ("ring", ("-DREADERS=1", "-DRECORDS=5")),
    ("ring", ("-DREADERS=2", "-DRECORDS=2")),
    ("generation", ()),
    ("fence", ()),
    ("state_block", ()),
]
WRONG = [
    ("ring", "NO_WRITER_FENCE"),
    ("ring", "NO_READER_FENCE"),
    ("ring", "HEAD_FIRST"),
    ("ring", "NO_TOMBSTONE"),
    ("generation", "NO_LOCK"),
    ("generation", "REPLACEABLE_LOCK"),
    ("generation", "PUBLISH_EARLY"),
    ("fence", "CHECK_THEN_ACT"),
    ("fence", "NO_ADMIT"),
    ("fence", "ONE_BUFFER"),
    ("fence", "NAMED_BUFFER"),
    ("fence", "ONE_LOOK"),
    ("lease", "CHECK_THEN_ACT"),
    ("lease", "NO_EPOCH"),
    ("lease", "TOUCH_BEFORE"),
    ("lease", "REPLACEABLE_LOCK"),
    ("state_block", "ONE_BLOCK"),
    ("state_block", "NO_SEQUENCE"),
    ("state_block", "TAIL_FIRST"),
    ("state_block", "BEFORE_MUTEX"),
]


def errors(model: str, options: tuple[str, ...], folder: Path) -> int:
    """Explore all of the model's states; return the number of errors SPIN reports."""
    require_tool("spin")
    source = MODELS / f"{model}.pml"
    subprocess.run(["spin", *options, "-a", source], cwd=folder, check=True, timeout=60)
    subprocess.run(
        ["gcc", "-O2", "-w", "-DSAFETY", "-DMEMLIM=2048", "-o", "pan", "pan.c"],
        cwd=folder,
        check=True,
        timeout=60,
    )
    done = subprocess.run(
        ["./pan", "-m1000000"], cwd=folder, check=True, timeout=900, capture_output=True, text=True
    )
    # A search that was cut short proves nothing.
    assert "Search not completed" not in done.stdout or "assertion violated" in done.stdout
    assert "max search depth too small" not in done.stdout
    found = re.search(r"errors: (\d+)", done.stdout)
    assert found, done.stdout
    return int(found[1])


@pytest.mark.short
@pytest.mark.parametrize(("model", "options"), RIGHT)
def test_model_holds(model: str, options: tuple[str, ...], tmp_path: Path) -> None:
    assert errors(model, options, tmp_path) == 0


@pytest.mark.timeout(1000)
def test_model_of_the_lease_holds(tmp_path: Path) -> None:
    """Three million states: some ten seconds."""
    assert errors("lease", (), tmp_path) == 0


@pytest.mark.short
@pytest.mark.parametrize(("model", "variant"), WRONG)
def test_wrong_variant_is_refuted(model: str, variant: str, tmp_path: Path) -> None:
    options = ("-DREADERS=1", "-DRECORDS=3") if model == "ring" else ()
    assert errors(model, (*options, f"-D{variant}"), tmp_path) == 1
