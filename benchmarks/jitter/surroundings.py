"""What runs beside: stress-ng, a cpuset for the RT process, and how busy the machine is anyway."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from shared.cli.supervisor import program
from shared.config.machine import format_cpu_list
from shared.core import MxrcError
from shared.kernel.cpuset_admin import create_cpuset, remove_cpuset
from shared.kernel.cpusets import hierarchies
from shared.kernel.files import KernelFiles

STRESS: Final = ("stress-ng", "--cpu", "2", "--vm", "1", "--io", "2")
QUIET_PERCENT: Final = 10.0
_RAMP_S: Final = 2.0


class NotAvailable(MxrcError):
    """What this machine does not have, in one line."""


@contextmanager
def stressed(prefix: Sequence[str] = ()) -> Iterator[None]:
    """stress-ng (STRESS) while the body runs. Raises NotAvailable."""
    if shutil.which(STRESS[0]) is None:
        raise NotAvailable("stress-ng is missing: apt-get install stress-ng")
    process = subprocess.Popen(
        [*prefix, *STRESS, "--temp-path", "/dev/shm"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(_RAMP_S)
        if process.poll() is not None:
            raise NotAvailable(f"stress-ng ended with status {process.returncode}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def awake(prefix: Sequence[str]) -> Iterator[None]:
    """A SCHED_IDLE loop on the CPU of `prefix` while the body runs, so that it never halts.

    It gives way to a real-time thread at once, and stands for idle=poll: a virtual CPU that halts
    has to be woken by the host, and a CPU with nothing else to do halts in every cycle.
    """
    process = subprocess.Popen([*prefix, "chrt", "--idle", "0", "sh", "-c", "while :; do :; done"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def all_awake() -> Iterator[None]:
    """`awake` on every CPU of this process."""
    with ExitStack() as stack:
        for cpu in sorted(os.sched_getaffinity(0)):
            stack.enter_context(awake(("taskset", "-c", str(cpu))))
        yield


@contextmanager
def unthrottled() -> Iterator[None]:
    """sched_rt_runtime_us -1 while the body runs: busy waiting is refused otherwise."""
    setting = Path("/proc/sys/kernel/sched_rt_runtime_us")
    before = setting.read_text(encoding="ascii")
    try:
        setting.write_text("-1", encoding="ascii")
    except OSError as error:
        raise NotAvailable(f"{setting}: {error.strerror}: as root") from None
    try:
        yield
    finally:
        setting.write_text(before, encoding="ascii")


def busy_percent(seconds: float = 1.0) -> float:
    """How busy all CPUs of the machine are now."""
    before = _times()
    time.sleep(seconds)
    total, idle = (after - first for after, first in zip(_times(), before, strict=True))
    return 100.0 * (1 - idle / total) if total else 0.0


def real_time_threads() -> list[str]:
    """FIFO and RR threads of programs; those on the same grid have their timers at our slots."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if not (process / "cmdline").read_bytes():
                continue  # the kernel's own
            for thread in (process / "task").iterdir():
                if os.sched_getscheduler(int(thread.name)) in (os.SCHED_FIFO, os.SCHED_RR):
                    name = (thread / "comm").read_text(encoding="utf-8", errors="replace").strip()
                    found.append(f"{name} ({thread.name})")
    return found


def _times() -> tuple[int, int]:
    line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    numbers = [int(one) for one in line.split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]


@contextmanager
def isolated(cpu: int) -> Iterator[tuple[list[str], list[str]]]:
    """A cpuset of its own for `cpu`; gives the prefixes of what runs in it and of the load.

    The kernel's other processes stay where they are: with v2 the partition takes the CPU away from
    them, with v1 only what is put into the second cpuset (all other CPUs) is kept off it.

    Raises:
        NotAvailable: not root, one CPU only, or no cpusets.
        CpusetError
    """
    files = KernelFiles()
    others = frozenset(os.sched_getaffinity(0) - {cpu})
    if os.getuid() != 0:
        raise NotAvailable("a cpuset is made as root")
    if not others:
        raise NotAvailable("one CPU only: nothing to isolate it from")
    found = hierarchies(files)
    if not found:
        raise NotAvailable("this kernel has no cpusets, or no cgroup file system is mounted")
    name = f"mxrc-bench-{os.getpid()}"
    load = f"{name}-load"
    create_cpuset(files, frozenset({cpu}), name)
    try:
        if found[0].version == 1:
            _plain_v1(found[0].mount / load, others)
        yield _exec(name), _exec(load) if found[0].version == 1 else []
    finally:
        if found[0].version == 1:
            _remove_v1(found[0].mount, load)
        remove_cpuset(files, name)


def _exec(name: str) -> list[str]:
    return [*program("mxrc", "shared.cli"), "cpuset", "exec", "--name", name, "--"]


def _plain_v1(group: Path, cpus: frozenset[int]) -> None:
    group.mkdir()
    (group / "cpuset.cpus").write_text(format_cpu_list(cpus), encoding="ascii")
    memory = (group.parent / "cpuset.mems").read_text(encoding="ascii")
    (group / "cpuset.mems").write_text(memory, encoding="ascii")


def _remove_v1(mount: Path, name: str) -> None:
    group = mount / name
    if not group.exists():
        return
    for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
        with suppress(OSError):
            (mount / "cgroup.procs").write_text(pid, encoding="ascii")
    with suppress(OSError):
        group.rmdir()
