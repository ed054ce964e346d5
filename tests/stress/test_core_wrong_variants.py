"""ThreadSanitizer must find a ring whose payload is written by plain stores.

The other mistakes (no odd value, head before the record, no second look, no tombstone, no lock) are
C programs of their own, cffi_build/tests/test_*_wrong*.c: they need no special build.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[2] / "cffi_build"
ATOMIC_STORE = "__atomic_store_n((mxrc_word *)word, value, MXRC_WORD_STORE);"
PLAIN_STORE = "*(mxrc_word *)word = value;"


def _race_program(folder: Path) -> Path:
    """Compile the race of test_ring_race.c, with the sources in `folder`, under ThreadSanitizer."""
    compiler = shutil.which("clang") or shutil.which("gcc")
    if compiler is None:
        pytest.fail("gcc or clang is needed: apt-get install gcc")
    program = folder / "race"
    command = [compiler, "-std=gnu11", "-O1", "-g", "-pthread", "-fsanitize=thread", "-DMXRC_TSAN"]
    command += ["-DMXRC_LAYOUT_HASH=1ULL", f"-I{folder / 'include'}"]
    command += [str(folder / "tests" / "test_ring_race.c")]
    command += [str(path) for path in sorted((folder / "src").glob("*.c"))]
    command += ["-lrt", "-lm", "-o", str(program)]
    subprocess.run(command, check=True, timeout=300)
    return program


def _run(program: Path) -> subprocess.CompletedProcess[str]:
    """Run it without address randomisation, which ThreadSanitizer cannot always live with."""
    return subprocess.run(
        ["setarch", "-R", str(program), "0.6"],
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=0 exitcode=66"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(400)
@pytest.mark.parametrize("wrong", [False, True], ids=["as it is", "plain stores"])
def test_thread_sanitizer_tells_plain_stores_from_ordered_ones(tmp_path: Path, wrong: bool) -> None:
    for name in ("src", "include", "tests"):
        shutil.copytree(CORE / name, tmp_path / name)
    header = tmp_path / "src" / "atomic.h"
    text = header.read_text(encoding="utf-8")
    assert text.count(ATOMIC_STORE) == 1
    if wrong:
        header.write_text(text.replace(ATOMIC_STORE, PLAIN_STORE), encoding="utf-8")

    result = _run(_race_program(tmp_path))

    if wrong:
        assert result.returncode == 66
        assert "data race" in result.stderr
    else:
        assert result.returncode == 0, result.stdout + result.stderr
