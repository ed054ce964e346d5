from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from shared.version import package_version


def test_is_what_the_metadata_says() -> None:
    package_version.cache_clear()
    assert package_version() == version("mxrc")


def test_looks_past_folders_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mxrc-9.8.7.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path)])
    package_version.cache_clear()
    assert package_version() == "9.8.7"
    package_version.cache_clear()
