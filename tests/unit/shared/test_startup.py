from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from shared.startup import (
    EX_CONFIG,
    Refused,
    add_options,
    complain,
    default_config_dir,
    ensure_directory,
    load_configuration,
    run_directory_mode,
    with_instance,
)
from tests.helpers import ROOT
from tests.unit.config.conftest import copy_files


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mxrc-test")
    add_options(parser)
    return parser.parse_args(arguments)


def test_the_folder_of_the_environment_comes_first() -> None:
    assert default_config_dir({"MXRC_CONFIG_DIR": "/somewhere"}) == Path("/somewhere")
    assert default_config_dir({}) in (Path("/etc/mxrc"), ROOT / "config")


def test_options_name_folder_files_and_instance(tmp_path: Path) -> None:
    folder = copy_files(ROOT / "config", tmp_path / "config")
    other = tmp_path / "other.json"
    other.write_text('{"rt_process": {"isolation_mode": "NONE", "cpu_cores": [0], "priority": 33}}')
    other.chmod(0o644)
    options = parse("--config-dir", str(folder), "--config", str(other), "--instance", "robot7")
    config = load_configuration(options, {"HOME": "/home/x"})
    assert config.instance_name == "robot7"
    assert config.cpu_affinity.rt_process.priority == 33
    assert config.directory == folder


def test_an_instance_replaces_the_one_of_the_environment() -> None:
    environ = {"MXRC_INSTANCE__INSTANCE": '"one"', "OTHER": "kept"}
    assert with_instance(environ, None) is environ
    changed = with_instance(environ, "two")
    assert changed == {"MXRC_INSTANCE__INSTANCE": '"two"', "OTHER": "kept"}
    assert environ["MXRC_INSTANCE__INSTANCE"] == '"one"'


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    ensure_directory(tmp_path / "a/b", "tests")
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o750 & ~_umask()
    ensure_directory(tmp_path / "a/b", "tests")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused) as raised:
        ensure_directory(tmp_path / "file" / "run", "the lock file")
    assert raised.value.status == EX_CONFIG
    assert "the folder of the lock file" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_writable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Refused, match="not writable"):
        ensure_directory(tmp_path / "run", "the lock file")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_in_tmp_is_refused() -> None:
    path = Path(f"/tmp/mxrc-test-{os.getpid()}")
    path.mkdir(mode=0o777)
    try:
        os.chown(path, 65534, 65534)
        with pytest.raises(Refused, match="belongs to user 65534"):
            ensure_directory(path, "the lock file")
    finally:
        path.rmdir()


def test_a_run_folder_in_tmp_is_private() -> None:
    assert run_directory_mode(Path("/tmp/mxrc-0")) == 0o700
    assert run_directory_mode(Path("/run/mxrc")) == 0o750


def test_complaints_name_the_program_on_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("mxrc-rt", "one\ntwo")
    assert capsys.readouterr() == ("", "mxrc-rt: one\nmxrc-rt: two\n")


def test_nobody_need_be_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _text: str) -> None:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    complain("mxrc-rt", "stopping")
