"""`mxrc up`: both real processes, without a terminal and with one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from shared.cli.monitor import Monitor, Sample
from tests.integration.test_nonrt_process import ANY_TIMING
from tests.processes import BIN, PATIENCE_S, Place, Running, run_to_end, wait_for


@contextmanager
def started_up(place: Place, *arguments: str) -> Iterator[Running]:
    """`mxrc up` in a process group of its own."""
    running = Running(
        [str(BIN / "mxrc"), "up", *arguments],
        place.environ,
        place.folder / "up.out",
        cwd=place.folder,
    )
    try:
        yield running
    finally:
        running.end()


@pytest.fixture(autouse=True)
def any_timing(place: Place) -> None:
    place.environ |= ANY_TIMING


def sample_of(place: Place) -> Sample | None:
    monitor = Monitor(place.instance)
    try:
        return monitor.sample()
    finally:
        monitor.close()


def running_both(place: Place, up: Running) -> Sample:
    """Once both processes run and HTTP answers."""

    def look() -> Sample | None:
        assert up.process.poll() is None, up.output
        sample = sample_of(place)
        if sample is None or not (sample.rt_alive and sample.nonrt_alive):
            return None
        if sample.state != "RUNNING" or not {"http", "metrics"} <= set(sample.ports):
            return None
        return sample if health(sample) == 200 else None

    return wait_for(look, "both processes")


def health(sample: Sample) -> int:
    request = f"http://127.0.0.1:{sample.ports['http']}/health"
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except OSError:
        return 0


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_stops_both_in_order(place: Place, number: int) -> None:
    with started_up(place) as up:
        sample = running_both(place, up)
        both = {sample.rt_pid, sample.nonrt_pid}
        assert both == set(children(up.pid))
        os.killpg(up.pid, number)
        assert up.wait() == 0, up.output
    assert place.shm_files() == []
    assert all(map(gone, both))
    output = up.output
    assert f"http://127.0.0.1:{sample.ports['http']}/health" in output
    assert f"http://127.0.0.1:{sample.ports['metrics']}/metrics" in output
    assert "RUNNING cycle" in output
    assert output.index("mxrc-rt: stopped") < output.index("mxrc-nonrt: SIGTERM: stopping")
    assert output.rstrip().endswith("mxrc up: stopped")
    assert "Traceback" not in output


def test_ignored_interrupts_are_heard_all_the_same(place: Place) -> None:
    """A shell without job control starts its background jobs with SIGINT ignored."""
    output = place.folder / "shell.out"
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["sh", "-c", f"trap '' INT; exec {BIN / 'mxrc'} up"],
            env=place.environ,
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: sample_of(place), "the segment")
        os.killpg(shell.pid, signal.SIGINT)
        assert shell.wait(PATIENCE_S) == 0, output.read_text()
    finally:
        if shell.poll() is None:
            shell.kill()
            shell.wait()
    assert place.shm_files() == []


def test_the_demo_moves_the_arm(place: Place) -> None:
    with started_up(place, "--demo") as up:
        sample = running_both(place, up)
        wait_for(lambda: "demo task demo started" in up.output, "the demo's start")
        start = sample.positions

        def moved() -> bool:
            now = sample_of(place)
            return now is not None and any(
                abs(a - b) > 0.05 for a, b in zip(now.positions, start, strict=True)
            )

        wait_for(moved, "motion")
        task = wait_for(lambda: ((one := sample_of(place)) and one.task) or None, "the task")
        assert task == "demo"
        listed = run_to_end(place, "mxrc", "task", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        assert '"demo"' in listed.stdout
        # What a person starts gets its turn.
        done = run_to_end(place, "mxrc", "task", "start", "task_1", "--watch")
        assert done.returncode == 0, done.stdout + done.stderr
        status = run_to_end(place, "mxrc", "status", "--json")
        assert status.returncode == 0, status.stderr
        assert {row["status"] for row in json.loads(status.stdout)} <= {"HEALTHY", "DEGRADED"}
        up.signal(signal.SIGINT)
        assert up.wait() == 0
    assert place.shm_files() == []


def test_killed_processes_are_started_again_and_go_on(place: Place) -> None:
    with started_up(place) as up:
        before = running_both(place, up)
        os.kill(before.rt_pid, signal.SIGKILL)

        def other_rt() -> Sample | None:
            now = sample_of(place)
            fresh = now is not None and now.rt_alive and now.rt_pid != before.rt_pid
            return now if fresh and now is not None and now.rt_restarts == 1 else None

        after = wait_for(other_rt, "the RT process again")
        assert after.generation == before.generation
        assert after.cycle > before.cycle
        assert after.epoch == before.epoch + 1
        os.kill(before.nonrt_pid, signal.SIGKILL)

        def other_nonrt() -> Sample | None:
            now = sample_of(place)
            fresh = now is not None and now.nonrt_alive and now.nonrt_pid != before.nonrt_pid
            return now if fresh and now is not None and now.nonrt_restarts == 1 else None

        last = wait_for(other_nonrt, "the Non-RT process again")
        assert last.rt_pid == after.rt_pid
        assert "killed by SIGKILL; starting it again" in up.output
        up.signal(signal.SIGTERM)
        assert up.wait() == 0, up.output
    assert place.shm_files() == []


def test_when_up_is_killed_nothing_is_left(place: Place) -> None:
    with started_up(place) as up:
        sample = running_both(place, up)
        up.signal(signal.SIGKILL)
        up.wait()
        wait_for(lambda: gone(sample.rt_pid) and gone(sample.nonrt_pid), "the end of both")
    wait_for(lambda: not place.shm_files(), "the end of the segment")


def test_a_second_signal_kills_and_still_leaves_nothing(place: Place) -> None:
    with started_up(place) as up:
        sample = running_both(place, up)
        os.kill(sample.rt_pid, signal.SIGSTOP)
        up.signal(signal.SIGINT)
        wait_for(lambda: "stopping in order" in up.output, "the first signal")
        assert not gone(sample.rt_pid)
        up.signal(signal.SIGINT)
        assert up.wait() == 0, up.output
        assert f"killing pid {sample.rt_pid}" in up.output
        assert "removed the segment" in up.output
    assert gone(sample.rt_pid)
    assert gone(sample.nonrt_pid)
    assert place.shm_files() == []


def test_an_rt_process_stopped_in_order_is_not_started_again(place: Place) -> None:
    with started_up(place) as up:
        sample = running_both(place, up)
        stopped = run_to_end(place, "mxrc", "rt", "stop", "--json")
        assert stopped.returncode == 0, stopped.stderr
        wait_for(lambda: "rt_process: stopped in order" in up.output, "the stop")
        time.sleep(1.0)
        assert up.process.poll() is None
        assert place.shm_files() == []
        assert children(up.pid) == [sample.nonrt_pid]
        up.signal(signal.SIGINT)
        assert up.wait() == 0


def test_bad_configuration_is_78_and_nothing_starts(place: Place) -> None:
    (place.config_dir / "rt_schedule.json").write_text('{"period_us": "fast"}')
    done = run_to_end(place, "mxrc", "up")
    assert done.returncode == 78
    assert "$.period_us" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.shm_files() == []


def test_a_second_up_of_the_instance_is_refused(place: Place) -> None:
    with started_up(place) as up:
        running_both(place, up)
        done = run_to_end(place, "mxrc", "up")
        assert done.returncode == 1
        assert "is running already" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        up.signal(signal.SIGINT)
        assert up.wait() == 0


def rows_of(place: Place, *arguments: str) -> list[Any]:
    done = run_to_end(place, "mxrc", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    rows: list[Any] = json.loads(done.stdout)
    return rows


def test_files_go_below_var_where_the_configuration_leaves_it_open(place: Place) -> None:
    for name in ("RUN_DIR", "LOG_DIR", "CHECKPOINT_DIR", "DATA_DIR"):
        del place.environ[f"MXRC_INSTANCE__{name}"]
    with started_up(place) as up:
        running_both(place, up)
        var = place.folder / "var" / place.instance
        assert {"run", "log", "data"} <= {path.name for path in var.iterdir()}
        assert (var / "run" / f"{place.instance}.lock").exists()
        # Found from elsewhere, too: who looks need not know who started it, nor where.
        wait_for(lambda: rows_of(place, "checkpoint", "list"), "a checkpoint")
        up.signal(signal.SIGINT)
        assert up.wait() == 0


def test_a_rt_process_that_cannot_start_ends_it(place: Place) -> None:
    blocker = place.folder / "run"
    blocker.write_text("a file where the folder should be")
    done = run_to_end(place, "mxrc", "up")
    assert done.returncode == 78, done.stdout + done.stderr
    assert "the folder of the lock file" in done.stderr
    assert place.shm_files() == []


def test_on_a_terminal_there_is_a_live_table(place: Place) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [str(BIN / "mxrc"), "up"],
        env={**place.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "50"},
        cwd=place.folder,
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    try:
        text = _until(parent, "wake-up jitter", "shoulder", "/metrics")
        process.send_signal(signal.SIGINT)
        text += _until(parent, process=process)
        assert process.wait(PATIENCE_S) == 0, text
        assert text.index("mxrc-rt: stopped") < text.index("mxrc-nonrt: stopped")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(parent)
    assert "ready: instance" in text
    assert place.shm_files() == []


def _until(terminal: int, *words: str, process: subprocess.Popen[bytes] | None = None) -> str:
    """What is shown until all of `words` are, or until `process` ends; no escape sequences.

    A terminal that nobody reads holds up who writes to it.
    """
    raw, deadline = b"", time.monotonic() + PATIENCE_S
    while True:
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw.decode("utf-8", "replace"))
        if all(word in plain for word in words) and (process is None or process.poll() is not None):
            return plain
        assert time.monotonic() < deadline, plain[-3000:]
        if select.select([terminal], [], [], 0.5)[0]:
            with suppress(OSError):
                raw += os.read(terminal, 65536)
