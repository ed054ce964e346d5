"""What a Non-RT process leaves for the one after it, and who may use it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nonrt_process.endpoints import FOLDERS
from nonrt_process.known_start import KnownStart, digest, known_start
from shared.documents import write_nonrt_document
from shared.startup import add_options
from tests.unit.nonrt_process.fakes import real_segment

ENVIRON = {"HOME": "/home/a", "PATH": "/bin", "MXRC_API__PORT": "0"}


def options(folder: Path, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(["--config-dir", str(folder), *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "instance.json").write_text('{"instance": "a"}')
    (tmp_path / "instance.json").chmod(0o640)
    return tmp_path


def _content(folder: Path) -> None:
    (folder / "instance.json").write_text('{"instance": "b"}')


def _mode(folder: Path) -> None:
    (folder / "instance.json").chmod(0o666)


def _removed(folder: Path) -> None:
    (folder / "instance.json").unlink()


@pytest.mark.parametrize("change", [_content, _mode, _removed])
def test_the_file_is_in_the_digest(folder: Path, change: Callable[[Path], None]) -> None:
    before = digest(options(folder), ENVIRON)
    assert before is not None
    change(folder)
    assert digest(options(folder), ENVIRON) != before


@pytest.mark.parametrize(
    "environ",
    [
        {**ENVIRON, "MXRC_INSTANCE__LOG_DIR": "/x"},
        {"HOME": "/home/a"},
        {**ENVIRON, "HOME": "/home/b"},
        {**ENVIRON, "INVOCATION_ID": "1"},
    ],
)
def test_the_environment_is_in_the_digest(folder: Path, environ: dict[str, str]) -> None:
    assert digest(options(folder), environ) != digest(options(folder), ENVIRON)


@pytest.mark.parametrize("arguments", [["--system"], ["--instance", "b"]])
def test_options_are_in_the_digest(folder: Path, arguments: list[str]) -> None:
    assert digest(options(folder, *arguments), ENVIRON) != digest(options(folder), ENVIRON)


def test_what_has_no_say_is_not(folder: Path) -> None:
    first = {**ENVIRON, "INVOCATION_ID": "1"}
    second = {**ENVIRON, "INVOCATION_ID": "2", "LANG": "C"}
    assert digest(options(folder), first) == digest(options(folder), second)


def test_no_digest_of_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "instance.json").mkdir()
    assert digest(options(tmp_path), ENVIRON) is None


def test_folders_are_known_for_exactly_this_digest(tmp_path: Path) -> None:
    assert set(KnownStart._fields) <= set(FOLDERS)
    folders = {"run_dir": "/run/a", "log_dir": "/log/a", "data_dir": "/d"}
    with real_segment(tmp_path) as (_, nonrt):
        assert known_start(nonrt, "d1") is None
        write_nonrt_document(nonrt, {"folders": folders, "digest": "d1"})
        assert known_start(nonrt, "d1") == KnownStart(Path("/run/a"), Path("/log/a"))
        assert known_start(nonrt, "d2") is None
        write_nonrt_document(nonrt, {"folders": folders, "digest": None})
        assert known_start(nonrt, None) is None


@pytest.mark.parametrize(
    "folders", [None, [], {}, {"run_dir": "/r"}, {"run_dir": "/r", "log_dir": "x"}]
)
def test_damaged_folders_are_not_known(tmp_path: Path, folders: Any) -> None:
    with real_segment(tmp_path) as (_, nonrt):
        write_nonrt_document(nonrt, {"folders": folders, "digest": "d1"})
        assert known_start(nonrt, "d1") is None
