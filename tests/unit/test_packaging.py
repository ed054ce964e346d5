"""The distribution says of itself what it is, and carries what it needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import shared.resources
from cffi_build.layout_hash import layout_hash
from shared.resources import resource_path
from tests.helpers import ROOT

SCRIPTS = {
    "mxrc": "shared.cli.main:main",
    "mxrc-rt": "rt_process.main:main",
    "mxrc-nonrt": "nonrt_process.main:main",
    "mxrc-logsim": "logsim.cli:main",
}


def test_version_is_the_one_of_the_changelog() -> None:
    version = importlib.metadata.version("mxrc")
    newest = re.search(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == version


def test_console_scripts() -> None:
    entries = importlib.metadata.distribution("mxrc").entry_points
    found = {entry.name: entry.value for entry in entries if entry.group == "console_scripts"}
    assert SCRIPTS.items() <= found.items()
    for name in found:
        assert (Path(sysconfig.get_path("scripts")) / name).is_file(), name


@pytest.mark.parametrize("target", SCRIPTS.values())
def test_the_modules_of_the_scripts_exist(target: str) -> None:
    assert importlib.util.find_spec(target.partition(":")[0]) is not None


def test_every_dependency_has_a_lower_bound() -> None:
    for requirement in importlib.metadata.requires("mxrc") or []:
        if "extra ==" not in requirement:
            assert ">=" in requirement, requirement


def test_extension_was_built_from_these_headers() -> None:
    from shared._core import lib

    assert lib.mxrc_layout_hash() == layout_hash(), "run `make build`"


def test_extension_serves_every_python() -> None:
    import shared._core

    assert shared._core.__file__.endswith(".abi3.so")


def test_resources_are_found_in_the_tree() -> None:
    assert resource_path("config") == ROOT / "config"
    with pytest.raises(FileNotFoundError, match="no/such/file"):
        resource_path("no/such/file")


def test_installed_resources_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared" / "data" / "config").mkdir(parents=True)
    (tmp_path / "config").mkdir()
    monkeypatch.setattr(shared.resources, "_PACKAGE", tmp_path / "shared")
    monkeypatch.setattr(shared.resources, "_DATA", tmp_path / "shared" / "data")
    assert resource_path("config") == tmp_path / "shared" / "data" / "config"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, made of a copy of the tree without the extension (`make dist` makes all of it)."""
    source = tmp_path_factory.mktemp("tree") / "mxrc"
    made = ("build", "dist", "var", "*.so", "*.egg-info", "__pycache__", "*_cache", ".hypothesis")
    left_out = (".git", ".venv", *made)
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*left_out))
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source],
        env={**os.environ, "MXRC_SKIP_EXT": "1"},
        check=True,
        capture_output=True,
    )
    (path,) = target.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_carries_configuration_and_tables(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for path in [*ROOT.glob("config/**/*.json"), *ROOT.glob("cffi_build/include/mxrc/*.def")]:
        assert f"shared/data/{path.relative_to(ROOT)}" in names


def test_wheel_has_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} <= {
        "shared",
        "rt_process",
        "nonrt_process",
        "logsim",
    }
    assert "shared/py.typed" in wheel.namelist()


def test_wheel_metadata(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(path).decode()
    assert "Name: mxrc\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Python: >=3.10\n" in metadata
