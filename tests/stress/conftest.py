from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import Place


@pytest.fixture
def place(instance: str, tmp_path: Path) -> Place:
    """Configuration and folders of an instance that nobody else uses."""
    return Place(instance, tmp_path)
