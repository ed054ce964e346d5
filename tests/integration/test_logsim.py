"""mxrc-logsim as a process: signals, pipes, files, and standing alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = (
    [sys.executable, "-P", "-m", "logsim"]
    if sys.version_info >= (3, 11)
    else [
        sys.executable,
        "-m",
        "logsim",
    ]
)
ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=ROOT,
        env=environment(),
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@contextmanager
def running(*arguments: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
        **options,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(path: Path, size: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path} did not reach {size} bytes"
        time.sleep(0.02)


def test_records_on_stdout_and_one_summary_line_on_stderr() -> None:
    done = run("--interval", "0", "--count", "20", "--seed", "1")
    assert done.returncode == 0
    assert len(re.findall(r"(?m)^\[(?:INFO|WARN|ERROR)\] ", done.stdout)) == 20
    assert re.fullmatch(r"mxrc-logsim: 20 records, [\d,]+ lines .* lines/s\n", done.stderr)


def test_quiet_says_nothing() -> None:
    assert run("--interval", "0", "--count", "5", "--quiet").stderr == ""


def test_the_same_seed_gives_the_same_bytes_in_two_processes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = run(
            "--seed",
            "42",
            "--interval",
            "0",
            "--count",
            "2000",
            "--incident",
            "--traceparent",
            "--output",
            str(tmp_path / name),
            "--label",
            str(tmp_path / f"{name}.labels"),
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one.labels").read_bytes() == (tmp_path / "two.labels").read_bytes()
    assert (tmp_path / "one").stat().st_size > 1_000_000


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_cleanly_with_a_summary(tmp_path: Path, name: str) -> None:
    """Also in a shell's background, where SIGINT starts out ignored; and in mid-wait."""
    log = tmp_path / "app.log"
    with running(
        "--interval",
        "60",
        "--error-rate",
        "1",
        "--output",
        str(log),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as process:
        wait_for(log)
        process.send_signal(getattr(signal, name))
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert re.fullmatch(rf"mxrc-logsim: stopped by {name}; 1 records, .*\n", stderr), stderr
    assert log.read_text().rstrip().endswith("---")


def test_at_full_speed_a_signal_leaves_only_whole_records_and_labels(tmp_path: Path) -> None:
    log, labels = tmp_path / "app.log", tmp_path / "truth.jsonl"
    with running("--interval", "0", "--output", str(log), "--label", str(labels)) as process:
        wait_for(log, 2_000_000)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    lines = log.read_text().splitlines()
    said = re.search(r"; ([\d,]+) records, ([\d,]+) lines", stderr)
    assert said
    assert int(said[2].replace(",", "")) == len(lines)
    last = json.loads(labels.read_text().splitlines()[-1])
    assert lines[last["last_line"] - 1].startswith("--- end of ")


def test_a_closed_pipe_is_no_traceback() -> None:
    with running("--interval", "0") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=PATIENCE_S) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--error-rate", "1.5"], "--error-rate: 1.5"),
        (["--interval", "-1"], "--interval: -1"),
        (["--output", "/nonexistent/app.log"], "/nonexistent/app.log: No such file or directory"),
        (["--output", "/"], "/: Is a directory"),
        (["--label", "/nonexistent/truth"], "/nonexistent/truth: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(arguments: list[str], words: str) -> None:
    done = run("--count", "1", *arguments)
    assert done.returncode == 2
    assert re.fullmatch(r"mxrc-logsim: error: .*\n", done.stderr), done.stderr
    assert words in done.stderr


def test_a_device_that_fills_up_is_one_line_and_status_1() -> None:
    done = run("--interval", "0", "--count", "100", "--output", "/dev/full")
    assert done.returncode == 1
    assert re.fullmatch(
        r"mxrc-logsim: error: cannot write /dev/full: No space left on device; "
        r"\d+ lines already made are not in it\n",
        done.stderr,
    ), done.stderr


def test_labels_for_a_file_with_lines_in_it_are_refused(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("old\n")
    arguments = ["--interval", "0", "--count", "5", "--output", str(log)]
    labelled = [*arguments, "--label", str(tmp_path / "truth.jsonl")]
    refused = run(*labelled)
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    assert log.read_text() == "old\n"
    assert run(*labelled, "--overwrite").returncode == 0
    assert not log.read_text().startswith("old\n")


def test_progress_goes_to_stderr_while_a_file_is_written(tmp_path: Path) -> None:
    """On a terminal: every second, over itself."""
    parent, child = os.openpty()
    with subprocess.Popen(
        [*COMMAND, "--rate", "500", "--output", str(tmp_path / "app.log")],
        stderr=child,
        cwd=ROOT,
        env=environment(),
    ) as process:
        os.close(child)
        seen = b""
        deadline = time.monotonic() + PATIENCE_S
        try:
            while seen.count(b"\r") < 2 and time.monotonic() < deadline:
                seen += os.read(parent, 4096)
            process.send_signal(signal.SIGINT)
            while True:
                seen += os.read(parent, 4096)
        except OSError:
            pass
        finally:
            process.kill()
            os.close(parent)
    assert re.search(rb"\rmxrc-logsim: [\d,]+ records, [\d,]+ lines after \d+ s", seen)
    assert b"stopped by SIGINT" in seen


def test_a_rate_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    done = run("--rate", "2000", "--duration", "3", "--output", str(log), "--quiet")
    assert done.returncode == 0
    # Short of it only if the machine was busy; never beyond it by more than a record.
    assert 1000 <= len(log.read_text().splitlines()) <= 6100


def test_logrotate_can_move_the_file_away(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with running("--interval", "0.01", "--output", str(log)) as process:
        wait_for(log)
        log.replace(tmp_path / "app.log.1")
        process.send_signal(signal.SIGHUP)
        wait_for(log)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    said = re.search(r"; ([\d,]+) records", stderr)
    assert said
    both = (tmp_path / "app.log.1").read_text() + log.read_text()
    assert len(re.findall(r"(?m)^\[[A-Z]+\] ", both)) == int(said[1].replace(",", ""))


def test_memory_stays_flat(tmp_path: Path) -> None:
    """With incidents and labels on, ten times the lines take no more memory."""

    def peak_kb(count: int) -> int:
        code = (
            "import resource, sys; from logsim.cli import main; status = main(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
        )
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                code,
                "--interval",
                "0",
                "--count",
                str(count),
                "--incident",
                "--quiet",
                "--output",
                "/dev/null",
                "--label",
                str(tmp_path / f"{count}.jsonl"),
            ],
            capture_output=True,
            text=True,
            timeout=100,
            cwd=ROOT,
            env=environment(),
            check=True,
        )
        return int(done.stdout)

    short, long = peak_kb(6_000), peak_kb(60_000)
    assert long < short + 2_000, f"{short} KB at 6,000 records, {long} KB at 60,000"


def test_it_stands_alone(tmp_path: Path) -> None:
    """The package by itself, as in its container: no other package, no dependency."""
    shutil.copytree(
        ROOT / "logsim", tmp_path / "logsim", ignore=shutil.ignore_patterns("__pycache__")
    )
    done = subprocess.run(
        [sys.executable, "-S", "-m", "logsim", "--interval", "0", "--count", "50", "--incident"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"(?m)^\[[A-Z]+\] ", done.stdout)) == 50
