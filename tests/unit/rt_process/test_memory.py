from __future__ import annotations

import ctypes
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rt_process.main import _refuse_unlocked
from rt_process.memory import LatencyRequest, lock_memory
from shared.reasons import Reason
from shared.segment import Segment
from shared.startup import EX_CONFIG, Refused
from tests.helpers import unique_instance
from tests.unit.config.conftest import Files
from tests.unit.shared.conftest import small_geometry

CAPABILITIES_3 = 0x20080522
CAP_IPC_LOCK = 14


def without_the_right(call: Callable[[], None]) -> None:
    """In a thread that may lock 64 MiB and has no CAP_IPC_LOCK."""
    libc = ctypes.CDLL(None, use_errno=True)

    def run() -> None:
        header = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0)
        rights = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
        assert libc.capget(header, rights) == 0
        rights[0] &= ~(1 << CAP_IPC_LOCK)
        assert libc.capset(header, rights) == 0
        call()

    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    most = 64 << 20 if before[1] == resource.RLIM_INFINITY else min(64 << 20, before[1])
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, before[1]))
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def test_locking_the_segment_only_is_not_enough(files: Files, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    segment = Segment.open_rt(small_geometry(unique_instance("memory"), files.load()), lock)
    segment.publish()
    found = []
    try:
        without_the_right(lambda: found.append(lock_memory(segment)))
    finally:
        segment.retire(lock)
    ((report, reason),) = found
    assert "of the shared segment" in report
    assert reason is not None, report
    assert "memory is not locked as a whole" in reason.what
    assert "CAP_IPC_LOCK" in reason.fix
    assert "grant" not in reason.what, "the fix is said once"


def test_an_exclusive_process_that_is_not_locked_does_not_start(production: Files) -> None:
    reason = Reason("memory is not locked as a whole", "give it CAP_IPC_LOCK")
    config = production.load()
    assert config.cpu_affinity.rt_process.is_exclusive
    with pytest.raises(Refused, match="CAP_IPC_LOCK") as raised:
        _refuse_unlocked(config, reason)
    assert raised.value.status == EX_CONFIG


def test_the_latency_request_is_a_zero_in_an_open_file(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    device.touch()
    request = LatencyRequest(device)
    assert request.held
    assert device.read_bytes() == bytes(4)
    request.close()
    assert not request.held


def test_a_device_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert not LatencyRequest(tmp_path / "absent").held


def test_no_core_dump_leaves_nothing_to_dump() -> None:
    from rt_process.memory import no_core_dump

    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] == resource.RLIM_INFINITY or before[1] > 0:
        import subprocess
        import sys

        code = (
            "import resource; from rt_process.memory import no_core_dump; no_core_dump(); "
            "print(resource.getrlimit(resource.RLIMIT_CORE))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.strip() == "(0, 0)", done.stderr
    else:
        no_core_dump()
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
