from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import Place

TIMEOUT_S = 600
"""Of a test that states none. What it waits for has limits of its own; this one ends what hangs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture
def place(instance: str, tmp_path: Path) -> Place:
    """Configuration and folders of an instance that nobody else uses."""
    return Place(instance, tmp_path)
