from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.unit.config.conftest import FakeMachine, Files, copy_files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A copy of config/."""
    return Files(copy_files(ROOT / "config", tmp_path / "config"))


@pytest.fixture
def production(tmp_path: Path) -> Files:
    """A copy of config/production/."""
    return Files(copy_files(ROOT / "config/production", tmp_path / "production"))


@pytest.fixture
def machine() -> FakeMachine:
    """Four CPUs, 2 and 3 isolated."""
    return FakeMachine()
