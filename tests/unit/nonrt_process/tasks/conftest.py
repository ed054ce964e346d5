from __future__ import annotations

import pytest

from nonrt_process.tasks import dispatcher, service


@pytest.fixture(autouse=True)
def stepped_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The executive's clock is the test's: its heartbeat is no measure of real time."""
    monkeypatch.setattr(service, "RT_ABSENT_NS", 1 << 62)
    monkeypatch.setattr(dispatcher, "PAUSE_S", 0.0)
