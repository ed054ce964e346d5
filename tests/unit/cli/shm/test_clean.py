"""clean removes what is certainly dead, under the lock, and nothing else."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shared.cli.shm import clean
from shared.inspector.cleaning import Candidate, LockRefused, judge, remove
from shared.inspector.objects import AttachedProcess, SegmentObject, examine
from shared.segment import Segment
from tests.unit.cli.shm.conftest import Run
from tests.unit.shared.test_segment import shm_file


def found(instance: str) -> SegmentObject:
    one = examine(shm_file(instance))
    assert one is not None
    return one


def as_if_dead(one: SegmentObject) -> SegmentObject:
    return replace(one, attached=(AttachedProcess(0, 2**22 + 1, False),))


def test_a_live_one_stays(filled: Segment, instance: str, run: Run) -> None:
    done = run("clean", "--yes", "--json")
    assert done.status == 1
    assert [row["removed"] for row in done.json] == [False]
    assert "in use by RT process" in done.json[0]["detail"]
    assert filled.current()


def test_without_a_terminal_it_needs_yes(instance: str, run: Run) -> None:
    shm_file(f"{instance}.new").write_bytes(b"draft")
    try:
        done = run("clean")
        assert done.status == 2
        assert "--yes" in done.stderr
        assert shm_file(f"{instance}.new").exists()
    finally:
        shm_file(f"{instance}.new").unlink(missing_ok=True)


@pytest.mark.parametrize(("answer", "removed"), [("n", False), ("", False), ("y", True)])
def test_a_person_is_asked(instance: str, tmp_path: Path, answer: str, removed: bool) -> None:
    draft = shm_file(f"{instance}.new")
    draft.write_bytes(b"draft")
    (tmp_path / f"{instance}.lock").touch()
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("mxrc-shm")), "clean"),
                *("--instance", instance, "--run-dir", str(tmp_path)),
            ],
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert f"Remove /dev/shm/mxrc-{instance}.new" in done.stderr
        assert (draft.exists(), done.returncode) == (not removed, 0 if removed else 1)
        assert ("not confirmed" in done.stdout) is not removed
    finally:
        os.close(keyboard)
        os.close(terminal)
        draft.unlink(missing_ok=True)


def test_a_draft_goes_under_the_lock_only(instance: str, run: Run, tmp_path: Path) -> None:
    draft, lock = shm_file(f"{instance}.new"), tmp_path / f"{instance}.lock"
    draft.write_bytes(b"draft")
    try:
        refused = run("clean", "--yes", "--json")
        assert (refused.status, draft.exists()) == (1, True)
        assert "another run_dir" in refused.json[0]["detail"]
        lock.touch()
        with lock.open("r+b") as holder:
            wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
            fcntl.fcntl(holder, fcntl.F_OFD_SETLK, wanted)
            held = run("clean", "--yes", "--json")
            assert (held.status, draft.exists()) == (1, True)
            assert "was not to be had" in held.json[0]["detail"]
        done = run("clean", "--yes", "--json")
        assert (done.status, done.json[0]["removed"], draft.exists()) == (0, True, False)
    finally:
        draft.unlink(missing_ok=True)


def test_what_is_foreign_is_never_touched(instance: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / f"{instance}.lock").touch()
    shm_file(instance).write_bytes(b"x" * 10000)
    try:
        assert run("clean", "--yes").status == 1
        assert shm_file(instance).read_bytes() == b"x" * 10000
    finally:
        shm_file(instance).unlink()


def test_a_candidate_is_judged_again_under_the_lock(
    filled: Segment, instance: str, tmp_path: Path
) -> None:
    """It was dead when it was examined; since then a process has attached."""
    one = found(instance)
    candidate = Candidate(instance, one.path, one.bytes, filled.generation, "dead", "")
    done = remove(candidate, tmp_path / f"{instance}.lock")
    assert not done.removed
    assert filled.current()


def test_another_generation_is_left_alone(instance: str, tmp_path: Path) -> None:
    draft = shm_file(f"{instance}.new")
    draft.write_bytes(b"draft")
    (tmp_path / "lock").touch()
    try:
        done = remove(Candidate(instance, str(draft), 5, 123, "dead", ""), tmp_path / "lock")
        assert (done.removed, draft.exists()) == (False, True)
    finally:
        draft.unlink()


def test_nothing_to_remove_is_no_error(run: Run) -> None:
    done = run("clean", "--yes")
    assert done.status == 0
    assert "nothing to remove" in done.stderr


def test_judgement_by_kind(filled: Segment, instance: str) -> None:
    one = found(instance)
    assert not judge(one).removable
    assert judge(replace(one, this_boot=False)).removable
    assert judge(replace(as_if_dead(one), kind="other layout", problem="x")).removable
    assert not judge(replace(one, kind="other layout", problem="x")).removable
    for kind in ("corrupt", "foreign", "unreadable"):
        assert not judge(replace(as_if_dead(one), kind=kind, problem="x")).removable, kind


def test_the_lock_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LockRefused):
        remove(Candidate("x", "/dev/shm/mxrc-x", 0, 0, "dead", ""), tmp_path / "no.lock")
    assert not (tmp_path / "no.lock").exists()


def test_lock_of_an_instance_that_mxrc_up_started_here(
    instance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is configured but the name; mxrc up had its folders below ./var/NAME."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    folder = Path("var", instance, "run")
    folder.mkdir(parents=True)
    found = clean._lock(None, None, instance)
    assert found == folder / f"{instance}.lock"
    assert clean._lock(tmp_path, None, instance) == tmp_path / f"{instance}.lock"
