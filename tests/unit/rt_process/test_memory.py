from __future__ import annotations

import resource
from pathlib import Path

from rt_process.memory import LatencyRequest


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
