"""An emulated machine: PREEMPT_RT, two NUMA nodes, systemd; mxrc in it, and a script of checks.

Its image is kept in ~/.cache/mxrc/vm (XDG_CACHE_HOME), in a folder named by the checksum of what it
is made of: build.sh and the requirements. One that was not used for two weeks is dropped; dropping
the whole folder costs nothing but the time to make it again. Only function is real in the machine,
never latency: four CPUs are emulated on those of this one. Times mean something where they are
counted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires
from pathlib import Path
from typing import Any, Final

import pytest

from tests.helpers import ROOT, require_tool, skip_or_fail

HERE: Final = Path(__file__).resolve().parent / "vm"
GUEST_PYTHON: Final = "3.11"
BUILD_S: Final = 900
BOOT_S: Final = 2400
LIMIT: Final = "MXRC_VM_SECONDS"
"""Environment variable: seconds that all of it may take. What was not reached then is skipped."""
_CUT: Final = "cut"
_BEGAN: Final = time.monotonic()
TIMED_OUT: Final = 124  # of timeout(1)
KEPT_S: Final = 14 * 86400
# What mxrc needs that is published without a wheel: pure Python, built here.
SOURCE_ONLY: Final = ("sdnotify",)
ISOLATED: Final = "isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3"


def cache() -> Path:
    """Folder of the images."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mxrc/vm"


def boot(
    guest: Path, share: Path, isolation: str = ISOLATED, *, counted: bool = False
) -> dict[str, Any]:
    """What `guest`/checks.py wrote, by check. share: an empty folder, /share in the machine.

    isolation: kernel parameters. counted: one CPU, with a clock that counts its instructions.
    """
    if os.getuid() != 0:
        skip_or_fail("building the machine needs root", "sudo")
    for program, package in (
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("mmdebstrap", "mmdebstrap"),
        ("depmod", "kmod"),
        ("mke2fs", "e2fsprogs"),
    ):
        require_tool(program, package)
    began = time.monotonic()
    image = _image()
    made = time.monotonic()
    with _locked(cache() / "lock"):  # pip builds in the clone
        _own(share)
    shutil.copy(HERE / "checks.sh", share / "run.sh")
    (share / "name").write_text(guest.name)
    packed = time.monotonic()
    done = subprocess.run(
        [str(HERE / "run.sh"), str(image), str(share), str(_left())],
        check=False,
        timeout=BOOT_S + 60,
        env={**os.environ, "VM_ISOLATION": isolation, "VM_COUNTED": "1" if counted else ""},
    )
    ran = time.monotonic() - packed
    (share / "own.tar").unlink(missing_ok=True)
    out = share / "out.txt"
    said = out.read_text(errors="replace") if out.exists() else "nothing was said"
    print(
        f"image {made - began:.0f} s, packages {packed - made:.0f} s, machine {ran:.0f} s\n{said}"
    )
    target = share / "results.json"
    results: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    if LIMIT in os.environ and done.returncode == TIMED_OUT:
        results[_CUT] = True
    assert results, f"the machine did not get to the checks:\n{said}"
    return results


def of(results: dict[str, Any], name: str) -> dict[str, Any]:
    """What came of a check; fails where it did not come to its end.

    Where its time ran out by LIMIT, what it had not come to the end of is skipped.
    """
    if name not in results and _CUT in results:
        pytest.skip(f"not reached in the {os.environ[LIMIT]} s of {LIMIT}")
    assert name in results, "the machine did not get so far in its time"
    found: dict[str, Any] = results[name]
    assert "failed" not in found, found["failed"]
    return found


def _left() -> int:
    """Seconds that the machine may run."""
    limit = os.environ.get(LIMIT)
    return BOOT_S if limit is None else max(1, int(float(limit) - time.monotonic() + _BEGAN))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _image() -> Path:
    """Folder of the image for build.sh and the requirements of now; made when there is none."""
    requirements = sorted(one for one in requires("mxrc") or () if "extra ==" not in one)
    inputs = [(HERE / "build.sh").read_text(), GUEST_PYTHON, *requirements]
    folder = cache() / hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:16]
    with _locked(cache() / "lock"):
        for old in cache().iterdir():
            if old.is_dir() and old != folder and time.time() - old.stat().st_mtime > KEPT_S:
                shutil.rmtree(old)
        if not folder.exists():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            site = making / "site"
            _packages(site, requirements)
            subprocess.run(
                [str(HERE / "build.sh"), str(making), str(site)], check=True, timeout=BUILD_S
            )
            shutil.rmtree(site)
            making.rename(folder)
        os.utime(folder)
    return folder


def _pip(*arguments: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *map(str, arguments)],
        cwd=ROOT,
        check=True,
        timeout=BUILD_S,
    )


def _packages(site: Path, requirements: list[str]) -> None:
    """What mxrc needs, for the guest's Python."""
    wheels = site.with_name("wheels")
    _pip("wheel", "--no-deps", "-w", wheels, *SOURCE_ONLY)
    target = ("--python-version", GUEST_PYTHON, "--only-binary=:all:", "--find-links", wheels)
    _pip("install", "--target", site, "--no-compile", *target, *requirements)
    shutil.rmtree(wheels)


def _own(share: Path) -> None:
    """mxrc and these tests, as the guest's Python has to find them, in share/own.tar."""
    site = share / "own"
    _pip("wheel", "--no-deps", "--no-build-isolation", "-w", share / "wheel", ".")
    _pip("install", "--target", site, "--no-deps", "--no-compile", *(share / "wheel").iterdir())
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE.parent, site / "tests/lab", ignore=ignore)
    if sys.version_info[:2] == (3, 11):
        compile_all = [sys.executable, "-m", "compileall", "-q", str(site)]
        subprocess.run(compile_all, stdout=subprocess.DEVNULL, check=False)
    subprocess.run(["tar", "-C", str(site), "-cf", str(share / "own.tar"), "."], check=True)
    shutil.rmtree(site)
    shutil.rmtree(share / "wheel")
