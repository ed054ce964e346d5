"""Python control laws are code that moves a machine: nobody else may change them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rt_process.law import find_law
from shared.config import Config, ConfigError
from tests.helpers import FOLLOWING_LAW, ROOT
from tests.unit.config.conftest import Files, copy_files

pytest.importorskip("numba")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(copy_files(ROOT / "config", tmp_path / "config"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "laws"
    folder.mkdir(mode=0o755)
    path = folder / "follow.py"
    path.write_text(FOLLOWING_LAW)
    path.chmod(0o644)
    return path


def configured(files: Files, path: Path) -> Config:
    law = {"type": "numba", "path": str(path), "symbol": "follow"}
    files.change("robot", lambda document: document.update(law=law))
    return files.load()


def refusal(files: Files, path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        find_law(configured(files, path))
    return str(error.value)


def test_a_folder_in_which_others_may_replace_it(files: Files, path: Path) -> None:
    path.parent.chmod(0o777)
    said = refusal(files, path)
    assert f"{path.parent}: mode 0777" in said
    assert "others may replace the code in this folder" in said
    assert str(path) in said


def test_a_file_that_others_may_write(files: Files, path: Path) -> None:
    path.chmod(0o664)
    said = refusal(files, path)
    assert f"{path}: mode 0664" in said
    assert "nobody else may write it" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_or_a_folder_of_somebody_else(files: Files, path: Path) -> None:
    os.chown(path, 12345, -1)
    assert f"{path}: mode 0644, owner 12345" in refusal(files, path)
    os.chown(path, 0, -1)
    os.chown(path.parent, 12345, -1)
    assert f"{path.parent}: mode 0755, owner 12345" in refusal(files, path)


def test_what_is_no_file(files: Files, path: Path) -> None:
    path.unlink()
    assert "No such file" in refusal(files, path)
    path.mkdir()
    assert "is not a regular file" in refusal(files, path)


def test_a_sticky_folder_is_as_good(files: Files, path: Path) -> None:
    path.parent.chmod(0o1777)
    assert find_law(configured(files, path))


def test_what_was_looked_at_is_what_is_read(
    files: Files, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file is put into its place as soon as this one was opened."""
    real = os.fstat

    def replaced(descriptor: int) -> os.stat_result:
        path.unlink(missing_ok=True)
        path.write_text("raise RuntimeError('the other file')\n")
        return real(descriptor)

    config = configured(files, path)
    monkeypatch.setattr("rt_process.law.os.fstat", replaced)
    assert find_law(config)
