"""An emulated machine: PREEMPT_RT, two NUMA nodes, systemd; mxrc in it, and a script of checks.

Image, wheels and what was unpacked of them are kept in build/vm. Only function is real in it, never
latency: four CPUs are emulated on those of this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.helpers import ROOT, require_tool, skip_or_fail

HERE: Final = Path(__file__).resolve().parent / "vm"
CACHE: Final = ROOT / "build/vm"
GUEST_PYTHON: Final = "3.11"
BUILD_S: Final = 900
BOOT_S: Final = 2400
# What mxrc needs that is published without a wheel: pure Python, built here.
SOURCE_ONLY: Final = ("sdnotify",)
ISOLATED: Final = "isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3"


def boot(guest: Path, share: Path, isolation: str = ISOLATED) -> dict[str, Any]:
    """What `guest`/checks.py wrote, by check. share: an empty folder, /share in the machine.

    The files of `guest` are in it, and this folder as tests/lab.

    isolation: kernel parameters.
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
    CACHE.mkdir(parents=True, exist_ok=True)
    lock = ["flock", str(CACHE / "lock")]
    subprocess.run([*lock, str(HERE / "build.sh"), str(CACHE)], check=True, timeout=BUILD_S)
    _site(share)
    for file in guest.iterdir():
        if file.is_file():
            shutil.copy(file, share)
    shutil.copytree(HERE.parent, share / "tests/lab", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [str(HERE / "run.sh"), str(CACHE), str(share), str(BOOT_S)],
        check=False,
        timeout=BOOT_S + 60,
        env={**os.environ, "VM_ISOLATION": isolation},
    )
    (share / "site.tar").unlink(missing_ok=True)
    out = share / "out.txt"
    said = out.read_text(errors="replace") if out.exists() else "nothing was said"
    target = share / "results.json"
    assert target.exists(), f"the machine did not get to the checks:\n{said}"
    results: dict[str, Any] = json.loads(target.read_text())
    return results


def of(results: dict[str, Any], name: str) -> dict[str, Any]:
    """What came of a check; fails where it did not come to its end."""
    assert name in results, "the machine did not get so far in its time"
    found: dict[str, Any] = results[name]
    assert "failed" not in found, found["failed"]
    return found


def _pip(*arguments: str | Path, check: bool = True) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *map(str, arguments)],
        cwd=ROOT,
        check=check,
        timeout=BUILD_S,
    )
    return done.returncode == 0


def _site(folder: Path) -> None:
    """mxrc and what it needs, as the guest's Python has to find it, in folder/site.tar."""
    wheels = CACHE / "wheels"
    for old in wheels.glob("mxrc-*.whl"):
        old.unlink()
    _pip("wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ".")
    (own,) = wheels.glob("mxrc-*.whl")
    target = ("--python-version", GUEST_PYTHON, "--only-binary=:all:", "--find-links", wheels)
    install = ("install", "--target", folder / "site", "--no-compile", "--no-index", *target, own)
    # Quiet: what the first try misses is got for the second.
    if not _pip("-qq", *install, check=False):
        _pip("wheel", "--no-deps", "-w", wheels, *SOURCE_ONLY)
        _pip("download", "-d", wheels, *target, own)
        shutil.rmtree(folder / "site", ignore_errors=True)
        _pip(*install)
    if sys.version_info[:2] == (3, 11):
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", str(folder / "site")],
            stdout=subprocess.DEVNULL,
            check=False,
        )
    subprocess.run(["tar", "-C", str(folder), "-cf", str(folder / "site.tar"), "site"], check=True)
    shutil.rmtree(folder / "site")
