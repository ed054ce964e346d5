"""Looks at all segments outlive one that is cut short, or removed, under them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import pytest

from shared.segment import Segment
from tests.unit.shared.test_segment import shm_file

LOOK = """
import shutil, sys
from pathlib import Path
from shared.inspector import cleaning, listing
from shared.inspector.objects import examine

path, left, module, how = sys.argv[1:]
looking = {"listing": listing, "cleaning": cleaning}[module]
real = looking.processes

def cut_short(*arguments):
    if left == "removed":
        Path(path).unlink()
    elif left == "replaced" and not Path(path + "2").exists():
        shutil.copy(path, path + "2")
        Path(path + "2").replace(path)
        Path(path + "2").touch()  # once
    elif left == "replaced":
        pass
    else:
        with Path(path).open("r+b") as file:
            file.truncate(int(left))
    return real(*arguments)

looking.processes = cut_short
if how == "bare":
    listing.read_guarded = cleaning.read_guarded = lambda segment, read: read(segment)
found = examine(Path(path))
print(listing.listed(found) if module == "listing" else cleaning._judged_whole(found))
"""


def looked_at(instance: str, left: str, module: str, how: str) -> tuple[int, str]:
    """Exit status and output of a process whose segment is cut between its look and its reading."""
    copy = shm_file(f"{instance}-cut")
    shutil.copy(shm_file(instance), copy)
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(copy), left, module, how],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr
    finally:
        for path in (copy, copy.with_name(f"{copy.name}2")):
            path.unlink(missing_ok=True)


@pytest.mark.parametrize("left", ["0", "65536"])
@pytest.mark.parametrize("module", ["listing", "cleaning"])
def test_a_segment_that_is_cut_is_said_to_be(
    filled: Segment, instance: str, left: str, module: str
) -> None:
    status, text = looked_at(instance, left, module, "guarded")
    assert status == 0, text
    assert "was cut or replaced while it was read" in text


def test_one_that_is_removed_has_no_row(filled: Segment, instance: str) -> None:
    assert looked_at(instance, "removed", "listing", "guarded") == (0, "None\n")


def test_one_that_is_replaced_has_the_row_of_the_other(filled: Segment, instance: str) -> None:
    status, text = looked_at(instance, "replaced", "listing", "guarded")
    assert status == 0, text
    assert "state='alive'" in text


@pytest.mark.parametrize("module", ["listing", "cleaning"])
def test_without_the_guard_it_would_die(filled: Segment, instance: str, module: str) -> None:
    status, _ = looked_at(instance, "0", module, "bare")
    assert status == -signal.SIGBUS
