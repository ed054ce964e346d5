"""What every test may use: the marker of its folder, names and ports of its own, honest skips."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.helpers import SHM_DIR, unique_instance

TESTS = Path(__file__).resolve().parent
FOLDER_MARKERS = ("unit", "integration", "stress", "lab")

# A limit in wall time for one example would fail on a machine that is busy for a moment.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def pytest_configure() -> None:
    """SIGTERM (`timeout`) ends a run as Ctrl-C does: fixtures end the processes that they began."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the folder it is in."""
    for item in items:
        if TESTS in item.path.parents:
            folder = item.path.relative_to(TESTS).parts[0]
            if folder in FOLDER_MARKERS:
                item.add_marker(getattr(pytest.mark, folder))


@pytest.fixture
def instance() -> Iterator[str]:
    """An instance name nobody else uses; the test must have removed its segment when it ends."""
    name = unique_instance()
    yield name
    left = sorted(path for path in SHM_DIR.iterdir() if name in path.name)
    for path in left:
        path.unlink(missing_ok=True)
    assert not left, f"left behind in shared memory: {[path.name for path in left]}"
