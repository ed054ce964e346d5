from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.unit.config.conftest import Files, copy_files
from tests.unit.shared.conftest import config, nonrt, reader, rt

__all__ = ["config", "files", "nonrt", "reader", "rt"]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A copy of config/."""
    return Files(copy_files(ROOT / "config", tmp_path / "config"))
