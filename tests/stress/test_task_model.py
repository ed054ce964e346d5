"""The model of a task's life over a thousand histories of 35 events each."""

from __future__ import annotations

import pytest

from tests.unit.nonrt_process.tasks.test_model import run


@pytest.mark.timeout(3000)
def test_thousands_of_interleavings() -> None:
    run(1000)
