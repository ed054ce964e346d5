"""The writer of checkpoints, with a fault at each of its system calls in turn (strace)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.checkpoint_file import is_checkpoint_name, load_all, load_newest, write_checkpoint
from tests.helpers import ROOT, require_tool

WRITER = """
import os, sys
from datetime import datetime, timezone
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from shared.checkpoint_file import write_checkpoint
content = {"instance": "i", "rt_state": {"who": "new"}, "datastore_snapshot": {"fill": "x" * 20000},
           "eventbus_queue_snapshot": []}
now = datetime(2026, 1, 2, tzinfo=timezone.utc)
try:
    os.chdir("/begin-of-the-writer")
except OSError:
    pass
try:
    write_checkpoint(Path(sys.argv[1]), "rt_process", content, now)
except OSError as error:
    os.write(2, str(error).encode())
    os._exit(3)
os._exit(0)
"""
CALL = re.compile(r"^(?:\d+ +)?([a-z0-9_]+)\(")
# What a fault in reading the clock, in memory or in random numbers does is Python's affair.
NOT_THE_WRITERS = {"brk", "mmap", "munmap", "mremap", "madvise", "getrandom", "lseek", "chdir",
                   "exit_group", "getpid", "rt_sigaction", "futex", "fcntl", "ioctl"}  # fmt: skip


class Call(NamedTuple):
    """The n-th call of that name since the start of the process (from 1)."""

    name: str
    n: int


def copied_source(place: Path) -> Path:
    """The module alone, without byte code: every run makes the same calls, whoever else runs."""
    package = place / "source" / "shared"
    package.mkdir(parents=True)
    for name in ("__init__.py", "checkpoint_file.py"):
        shutil.copyfile(ROOT / "shared" / name, package / name)
    return package.parent


def trace(source: Path, folder: Path, log: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["strace", "-qq", "-o", str(log), *options, sys.executable, "-IBS", "-c", WRITER,
         str(folder), str(source)],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def prepared(folder: Path) -> Path:
    """With an old checkpoint in it."""
    folder.mkdir()
    content = {
        "instance": "i",
        "rt_state": {"who": "old"},
        "datastore_snapshot": {},
        "eventbus_queue_snapshot": [],
    }
    write_checkpoint(folder, "rt_process", content, datetime(2026, 1, 1, tzinfo=timezone.utc))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def calls(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """What the writer calls when all goes well."""
    require_tool("strace")
    place = tmp_path_factory.mktemp("faults")
    log = place / "log"
    done = trace(source, prepared(place / "checkpoints"), log)
    assert done.returncode == 0, done.stderr
    counts: Counter[str] = Counter()
    found: list[Call] = []
    begun = False
    for line in log.read_text().splitlines():
        match = CALL.match(line)
        if match is None:
            continue
        counts[match[1]] += 1
        begun = begun or "begin-of-the-writer" in line
        if begun and match[1] not in NOT_THE_WRITERS:
            found.append(Call(match[1], counts[match[1]]))
    names = Counter(call.name for call in found)
    assert names["fsync"] == 2, names  # the file, the folder
    assert {"write", "flock", "close"} <= names.keys()
    assert names.keys() & {"rename", "renameat", "renameat2"}
    return found


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO", "error=ENOSPC", "retval=7"])
def test_a_fault_at_each_call_in_turn(
    source: Path, calls: list[Call], fault: str, tmp_path: Path
) -> None:
    outcomes: Counter[str] = Counter()
    for number, call in enumerate(calls):
        if fault.startswith("retval") and call.name != "write":
            continue
        folder = prepared(tmp_path / f"{number}")
        log = tmp_path / f"{number}.log"
        done = trace(source, folder, log, "-e", f"inject={call.name}:{fault}:when={call.n}")
        at = f"{fault} at {call.name} number {call.n}"
        if not fault.startswith("signal"):
            assert "INJECTED" in log.read_text(), at
        else:
            assert done.returncode == -9 or "killed by SIGKILL" in log.read_text(), at
        skipped: list[str] = []
        newest = load_newest(folder, "rt_process", "i", skipped.append)
        assert newest is not None, at
        who = newest.document["rt_state"]["who"]
        # Whoever is told it is written finds it; after an error the old one counts.
        if done.returncode == 3:
            assert who == "old", at
        elif done.returncode == 0 and not fault.startswith("retval"):
            assert who == "new", at
        good = list(load_all(folder, "rt_process", "i", lambda _line: None))
        assert {file.document["rt_state"]["who"] for file in good} <= {"old", "new"}, at
        names = [p.name for p in folder.iterdir() if is_checkpoint_name(p.name, "rt_process")]
        assert len(good) + len(skipped) == len(names), at
        if who == "new":
            assert len(newest.document["datastore_snapshot"]["fill"]) == 20000, at
        outcomes[f"status {done.returncode}, newest is {who}"] += 1
    print(f"{fault}: {sum(outcomes.values())} calls: {dict(outcomes)}")
    assert outcomes
    # A fault that is never felt would prove nothing.
    assert any("old" in outcome for outcome in outcomes), outcomes


def test_a_short_write_of_the_kernel(tmp_path: Path) -> None:
    """The file size is limited: the write ends in the middle, the next one fails."""
    folder = prepared(tmp_path / "short")
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n" + WRITER
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", limited, str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "large" in done.stderr
    assert len(list(folder.iterdir())) == 1
