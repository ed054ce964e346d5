"""The model of a task's life over hundreds of histories of 35 events each."""

from __future__ import annotations

import pytest

from tests.unit.nonrt_process.tasks.test_model import run


@pytest.mark.timeout(600)
def test_thousands_of_interleavings() -> None:
    run(300)
