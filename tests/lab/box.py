"""A box: systemd as the first process of namespaces of its own, over this machine's root.

What is written in it is gone with it. Its network is this machine's, /dev/shm is its own. Needs
root, overlayfs and a cgroup v2 hierarchy; `require_box` skips where one of them is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers import require_tool, skip_or_fail

INNER = Path(__file__).with_name("box_inner.sh")
BOOT_S = 60.0


def _hierarchy() -> Path | None:
    for path in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        if (path / "cgroup.controllers").exists():
            return path
    return None


def require_box() -> None:
    """Skip, or fail under CI, where no box can be made."""
    if not Path("/lib/systemd/systemd").exists():
        skip_or_fail("systemd is missing", "systemd")
    for tool, package in (("unshare", "util-linux"), ("nsenter", "util-linux")):
        require_tool(tool, package)
    if os.geteuid() != 0 or _hierarchy() is None:
        pytest.skip("a box needs root and a cgroup v2 hierarchy")


class Box:
    """Started by `start`, ended by `stop`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mxrc-box-", dir="/var/tmp"))
        hierarchy = _hierarchy()
        assert hierarchy is not None
        self._group = hierarchy / self._folder.name
        self._console = self._folder.with_suffix(".console")
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> None:
        self._group.mkdir()
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [
                    "/bin/sh", "-c", f'echo $$ > "{self._group}/cgroup.procs" && exec "$@"', "sh",
                    "unshare", "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork",
                    "--kill-child=SIGKILL", str(INNER), str(self._folder),
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if self._find_init():
                answer = self.run("systemctl", "is-system-running", check=False)
                if answer.strip() in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise AssertionError(f"the box did not come up: {self._console.read_text()}")

    def stop(self) -> None:
        if self._init:
            with suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)  # and with it all that runs in there
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for _ in range(50):
            groups = sorted(self._group.rglob("*"), reverse=True) if self._group.exists() else []
            with suppress(OSError):
                for path in (*(one for one in groups if one.is_dir()), self._group):
                    path.rmdir()
                break
            time.sleep(0.1)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._console.unlink(missing_ok=True)

    def _find_init(self) -> bool:
        assert self._process is not None
        pid = self._process.pid
        with suppress(OSError):
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            if text.split() and "systemd" in Path(f"/proc/{text.split()[0]}/comm").read_text():
                self._init = int(text.split()[0])
        return self._init != 0

    def arguments(self, *command: str) -> list[str]:
        """`command` in the box."""
        spaces = ["-m", "-p", "-i", "-u", "-C"]
        return ["nsenter", "-t", str(self._init), *spaces, "--", *command]

    def run(self, *command: str, check: bool = True, seconds: float = 120.0) -> str:
        """stdout and stderr of a command in the box."""
        done = subprocess.run(
            self.arguments(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
            cwd="/",
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        subprocess.run(
            self.arguments("tee", path), input=text, text=True, check=True, capture_output=True
        )

    def show(self, unit: str, key: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", unit, "-p", key, "--value").strip()

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "-u", unit, "-o", "short-monotonic", "--no-pager")
